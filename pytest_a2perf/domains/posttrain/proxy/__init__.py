"""The way from a box without network to a language model: keys stay outside, calls are counted."""

from pytest_a2perf.domains.posttrain.proxy.options import LlmOptions, PriceOptions, UpstreamOptions
from pytest_a2perf.domains.posttrain.proxy.service import LlmProxy

__all__ = ["LlmOptions", "LlmProxy", "PriceOptions", "UpstreamOptions"]
