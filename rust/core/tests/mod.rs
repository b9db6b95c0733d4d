//! Tests that see the core as its users do: through what it makes public.

mod gradients;
mod memory;
mod replay;
mod rules;
mod tape;
mod training;
