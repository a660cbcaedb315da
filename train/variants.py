"""Both encoders in one code: a configuration's `variant` chooses, everything else takes either."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from train.encoder import Encoder, EncoderConfig
from train.reference import ReferenceConfig, ReferenceEncoder

AnyEncoder = Encoder | ReferenceEncoder


def _native_unless_said(config: Any) -> Any:
    """Checkpoints from before there were variants name none."""
    return {"variant": "native"} | config if isinstance(config, dict) else config


AnyEncoderConfig = Annotated[
    EncoderConfig | ReferenceConfig, Field(discriminator="variant"), BeforeValidator(_native_unless_said)
]
