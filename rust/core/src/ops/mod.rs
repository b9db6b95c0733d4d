//! The operations, one structured family in a file; elementwise functions are rows of one table.
//!
//! | file | operations |
//! |---|---|
//! | `elementwise` | functions of one number |
//! | `lanewise` | the machinery of all lane-wise operations |
//! | `arithmetic` | operators of two tensors, powers, comparisons, selection, conversion |
//! | `matmul` | matrix products |
//! | `dense` | x·W + b with an activation |
//! | `dense_steps` | x·W + b at the steps of sequences that count |
//! | `batch_norm` | batch normalization, its moving statistics included |
//! | `layer_norm` | layer normalization |
//! | `recurrent` | recurrent layers, all steps at once |
//! | `reduce` | sums, means, variances |
//! | `extrema` | largest and smallest elements and their positions |
//! | `shape` | reshape, transpose, permute, expand |
//! | `slice` | parts, positions, reversed dimensions |
//! | `join` | concatenate, stack |
//! | `gather` | rows by number |
//! | `state` | running sums and other state changed in place |
//! | `softmax` | softmax, log-softmax, log-sum-exp |
//! | `loss` | cross-entropy from logits |
//! | `pair_loss` | binary cross-entropy from logits, mean squared error |
//! | `images` | how images lie in a tensor |
//! | `affine` | shifted, rotated and zoomed images |
//! | `flip`, `erase` | mirrored images, and erased boxes |
//! | `color` | brightness and contrast of images |
//! | `dropout` | random masks |
//! | `swap_noise` | numbers of tables, replaced by those of other rows |
//! | `random` | tensors of random numbers |
//! | `observe` | moments, shares and norms of tensors, for those who watch a training |
//! | `decisions` | counts of what predictions say of classes |
//! | `ranking` | scores of classes, kept for their ranks |

pub mod affine;
pub mod arithmetic;
pub mod batch_norm;
pub mod color;
pub mod decisions;
pub mod dense;
pub mod dense_steps;
pub mod dropout;
pub mod elementwise;
pub mod erase;
pub mod extrema;
pub mod flip;
pub mod gather;
mod images;
pub mod join;
pub mod lanewise;
pub mod layer_norm;
pub mod loss;
pub mod matmul;
pub mod observe;
pub mod pair_loss;
pub mod random;
pub mod ranking;
pub mod recurrent;
pub mod reduce;
pub mod shape;
pub mod slice;
pub mod softmax;
pub mod state;
pub mod swap_noise;
