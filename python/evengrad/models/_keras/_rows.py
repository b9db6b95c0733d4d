"""Which layers of ours are Keras', and by which arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evengrad import layers

if TYPE_CHECKING:
    from evengrad.layers import Layer

AFFINE = (
    *("kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer"),
    *("activity_regularizer", "kernel_constraint", "bias_constraint"),
)
OF_RECURRENT_KERNEL = ("recurrent_initializer", "recurrent_regularizer", "recurrent_constraint")
RECURRENT_OBJECTS = (*AFFINE, *OF_RECURRENT_KERNEL)
OF_NORMALIZATION = (
    *("beta_initializer", "gamma_initializer", "beta_regularizer", "gamma_regularizer"),
    *("beta_constraint", "gamma_constraint"),
)
RECURRENT = (
    *("units", "use_bias", "dropout", "recurrent_dropout"),
    *("return_sequences", "return_state", "go_backwards"),
)
MOVED = ("fill_mode", "interpolation", "fill_value", "data_format")
LIT = ("value_range", "data_format")
# What tells only how a layer runs, or what no file restores: the seed of a dropout, or of a layer
# that changes images, which has one there whether it was given or not.
OF_RECURRENT = ("seed", "unroll", "implementation", "zero_output_for_mask", "use_cudnn")


@dataclass(frozen=True)
class Row:
    """One layer that both have.

    Attributes
    ----------
    kind
        Our class.
    arguments
        What is the same number, flag or text in both.
    objects, activations
        Arguments that are objects or activations, `initializers` and so on by their ends.
    silent
        What Keras' configurations have besides and whose value changes nothing here.
    """

    kind: type[Layer]
    arguments: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    activations: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


ROWS: dict[str, Row] = {
    "Dense": Row(
        layers.Dense,
        ("units", "use_bias"),
        AFFINE,
        ("activation",),
        ("lora_alpha",),
    ),
    "Embedding": Row(
        layers.Embedding,
        ("input_dim", "output_dim", "mask_zero"),
        ("embeddings_initializer", "embeddings_regularizer", "embeddings_constraint"),
        silent=("input_length", "lora_alpha"),
    ),
    "BatchNormalization": Row(
        layers.BatchNormalization,
        ("axis", "momentum", "epsilon", "center", "scale"),
        (*OF_NORMALIZATION, "moving_mean_initializer", "moving_variance_initializer"),
        silent=("synchronized", "renorm_momentum", "fused"),
    ),
    "LayerNormalization": Row(
        layers.LayerNormalization,
        ("axis", "epsilon", "center", "scale"),
        OF_NORMALIZATION,
    ),
    "Normalization": Row(
        layers.Normalization,
        ("axis", "mean", "variance", "invert"),
    ),
    "LSTM": Row(
        layers.LSTM,
        (*RECURRENT, "unit_forget_bias"),
        RECURRENT_OBJECTS,
        ("activation", "recurrent_activation"),
        OF_RECURRENT,
    ),
    "GRU": Row(
        layers.GRU,
        (*RECURRENT, "reset_after"),
        RECURRENT_OBJECTS,
        ("activation", "recurrent_activation"),
        OF_RECURRENT,
    ),
    "SimpleRNN": Row(
        layers.SimpleRNN,
        RECURRENT,
        RECURRENT_OBJECTS,
        ("activation",),
        OF_RECURRENT,
    ),
    "PReLU": Row(
        layers.PReLU,
        ("shared_axes",),
        ("alpha_initializer", "alpha_regularizer", "alpha_constraint"),
    ),
    "Activation": Row(layers.Activation, activations=("activation",)),
    "Softmax": Row(layers.Softmax, ("axis",)),
    "ReLU": Row(layers.ReLU, ("max_value", "negative_slope", "threshold")),
    "LeakyReLU": Row(layers.LeakyReLU, ("negative_slope",)),
    "ELU": Row(layers.ELU, ("alpha",)),
    "Dropout": Row(layers.Dropout, ("rate", "noise_shape"), silent=("seed",)),
    "AlphaDropout": Row(layers.AlphaDropout, ("rate",), silent=("seed",)),
    "GaussianDropout": Row(layers.GaussianDropout, ("rate",), silent=("seed",)),
    "GaussianNoise": Row(layers.GaussianNoise, ("stddev",), silent=("seed",)),
    "RandomTranslation": Row(
        layers.RandomTranslation, ("height_factor", "width_factor", *MOVED), silent=("seed",)
    ),
    # The first releases have a range there, and use it for nothing.
    "RandomRotation": Row(
        layers.RandomRotation, ("factor", *MOVED), silent=("seed", "value_range")
    ),
    "RandomZoom": Row(
        layers.RandomZoom, ("height_factor", "width_factor", *MOVED), silent=("seed",)
    ),
    "RandomFlip": Row(layers.RandomFlip, ("mode", "data_format"), silent=("seed",)),
    "RandomBrightness": Row(layers.RandomBrightness, ("factor", *LIT), silent=("seed",)),
    "RandomContrast": Row(layers.RandomContrast, ("factor", *LIT), silent=("seed",)),
    "RandomErasing": Row(
        layers.RandomErasing, ("factor", "scale", "fill_value", *LIT), silent=("seed",)
    ),
    "Rescaling": Row(layers.Rescaling, ("scale", "offset")),
    "Flatten": Row(layers.Flatten),
    "Masking": Row(layers.Masking, ("mask_value",)),
    "RepeatVector": Row(layers.RepeatVector, ("n",)),
    "GlobalAveragePooling1D": Row(
        layers.GlobalAveragePooling1D, ("data_format", "keepdims"), silent=("pool_dimensions",)
    ),
    "Reshape": Row(layers.Reshape, ("target_shape",)),
    "Concatenate": Row(layers.Concatenate, ("axis",)),
    "Identity": Row(layers.Identity),
    "Permute": Row(layers.Permute, ("dims",)),
    "UnitNormalization": Row(layers.UnitNormalization, ("axis",)),
    "ActivityRegularization": Row(layers.ActivityRegularization, ("l1", "l2")),
    "Dot": Row(layers.Dot, ("axes", "normalize")),
    "Add": Row(layers.Add),
    "Subtract": Row(layers.Subtract),
    "Multiply": Row(layers.Multiply),
    "Average": Row(layers.Average),
    "Maximum": Row(layers.Maximum),
    "Minimum": Row(layers.Minimum),
}
BY_KIND = {row.kind: name for name, row in ROWS.items()}
