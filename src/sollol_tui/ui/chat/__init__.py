"""The chat. From the inside out:

`turn` a question and its answer · `session` the turns, and how an answer changes them ·
`updates` what a transcript is told of an answer · `session_view` a session in its transcript ·
`conversation` one that goes on: asks, streams, stops · `keeping` to the disk and back.

`asking` the prompt's side: model, options, pictures, `queue` · `talk` both, with the `status`
line between · `panel` all of it, with `message_actions` for what was said already.

`sentences` and `measures` are the words around answers, `models` who can be asked for what.
"""
