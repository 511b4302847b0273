"""What a cluster is and every rule about it: pure values and functions, standard library only."""
