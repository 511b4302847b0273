"""Models as they lie on the demo's nodes: the figures of the real ones."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

F16_BYTES = 2
COMPUTE_BUFFER_BYTES = 320 * 1024**2


class Shape(NamedTuple):
    """The architecture of a model, as its GGUF tells it."""

    architecture: str
    layers: int
    embedding: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    context: int  # tokens, as trained


class Model(NamedTuple):
    """A model: `size_bytes` on disk, `parameters` as a number and as people write it."""

    name: str
    size_bytes: int
    parameters: int
    parameter_size: str
    quantization: str
    capabilities: tuple[str, ...]
    shape: Shape

    @property
    def family(self) -> str:
        """The family, which is the architecture."""
        return self.shape.architecture

    @property
    def digest(self) -> str:
        """64 hex digits, the same on every node."""
        return hashlib.sha256(f"manifest {self.name}".encode()).hexdigest()

    @property
    def blob(self) -> str:
        """The digest of the GGUF itself."""
        return hashlib.sha256(f"blob {self.name}".encode()).hexdigest()

    @property
    def thinks(self) -> bool:
        """Whether it thinks before it answers."""
        return "thinking" in self.capabilities

    @property
    def chats(self) -> bool:
        """Whether it answers at all."""
        return "completion" in self.capabilities

    def memory_bytes(self, context: int) -> int:
        """What it takes when loaded: weights, KV cache and compute buffers."""
        head = self.shape.embedding // self.shape.heads
        kv_cache = 2 * self.shape.layers * self.shape.kv_heads * head * context * F16_BYTES
        return self.size_bytes + kv_cache + COMPUTE_BUFFER_BYTES


_CHAT = ("completion",)
_TOOLS = ("completion", "tools")
_THINKS = ("completion", "thinking")
_ALL = ("completion", "tools", "thinking")
_SEES = ("completion", "vision")
_EMBEDS = ("embedding",)

# layers, embedding, heads, KV heads, feed forward, vocabulary, context
_LLAMA_3B = Shape("llama", 28, 3072, 24, 8, 8192, 128_256, 131_072)
_LLAMA_70B = Shape("llama", 80, 8192, 64, 8, 28_672, 128_256, 131_072)
_QWEN_8B = Shape("qwen3", 36, 4096, 32, 8, 12_288, 151_936, 40_960)
_MISTRAL_7B = Shape("llama", 32, 4096, 32, 8, 14_336, 32_768, 32_768)
_CODE_13B = Shape("llama", 40, 5120, 40, 40, 13_824, 32_016, 16_384)
_CODE_34B = Shape("llama", 48, 8192, 64, 8, 22_016, 32_000, 16_384)
_GEMMA_12B = Shape("gemma3", 48, 3840, 16, 8, 15_360, 262_145, 131_072)
_NOMIC = Shape("nomic-bert", 12, 768, 12, 12, 3072, 30_522, 2048)
_QWEN_14B = Shape("qwen2", 48, 5120, 40, 8, 13_824, 152_064, 131_072)

MODELS: tuple[Model, ...] = (
    Model("llama3.2:3b", 2_019_393_189, 3_212_749_888, "3.2B", "Q4_K_M", _TOOLS, _LLAMA_3B),
    Model("qwen3:8b", 5_225_388_164, 8_190_735_360, "8.2B", "Q4_K_M", _ALL, _QWEN_8B),
    Model("mistral:7b", 4_372_824_384, 7_248_023_552, "7.2B", "Q4_K_M", _TOOLS, _MISTRAL_7B),
    Model("codellama:13b", 7_365_960_935, 13_016_028_160, "13B", "Q4_0", _CHAT, _CODE_13B),
    Model("gemma3:12b", 8_149_190_253, 12_187_325_040, "12.2B", "Q4_K_M", _SEES, _GEMMA_12B),
    Model("nomic-embed-text:latest", 274_302_450, 136_727_040, "137M", "F16", _EMBEDS, _NOMIC),
    Model("deepseek-r1:14b", 8_988_112_209, 14_770_033_664, "14.8B", "Q4_K_M", _THINKS, _QWEN_14B),
    Model("codellama:34b", 19_052_049_085, 33_743_970_304, "34B", "Q4_0", _CHAT, _CODE_34B),
    Model("llama3.3:70b", 42_520_413_916, 70_553_706_560, "70.6B", "Q4_K_M", _TOOLS, _LLAMA_70B),
)

_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9}
_SIZE_IN_NAME = re.compile(r"(\d+(?:\.\d+)?)([kmb])\b", re.IGNORECASE)
_BITS_PER_WEIGHT = 4.8  # of Q4_K_M


def find(name: str, models: tuple[Model, ...] = MODELS) -> Model | None:
    """The model of that name among `models`; case does not count, no tag means `latest`."""
    wanted = full_name(name).lower()
    return next((model for model in models if model.name.lower() == wanted), None)


def full_name(name: str) -> str:
    """The name with its tag."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def model(name: str) -> Model:
    """The model of that name: a known one, or one made up from the size in its name (or 1 B)."""
    return find(name) or _invented(full_name(name))


def _invented(name: str) -> Model:
    said = _SIZE_IN_NAME.search(name)
    number, unit = (said[1], said[2].upper()) if said else ("1", "B")
    parameters = int(float(number) * _UNITS[unit])
    size_bytes = int(parameters * _BITS_PER_WEIGHT / 8)
    shape = Shape("llama", 16, 2048, 32, 8, 8192, 128_256, 8192)
    figures = (size_bytes, parameters, f"{number}{unit}", "Q4_K_M")
    return Model(name, *figures, _CHAT, shape)
