//! Shape, strides and offset: how a tensor lies in its buffer. Strides and offset count elements.

use smallvec::SmallVec;

use crate::error::{Result, bail};

/// Sizes of the dimensions.
pub type Shape = SmallVec<[usize; 4]>;
/// Steps of the dimensions, in elements; negative after a flip, zero where broadcast.
pub type Strides = SmallVec<[isize; 4]>;

/// How a tensor lies in its buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Sizes of the dimensions.
    pub shape: Shape,
    /// Steps of the dimensions.
    pub strides: Strides,
    /// Position of the first element.
    pub offset: usize,
}

/// Text such as `(32, 784)`, as NumPy prints shapes.
pub fn show(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        many => {
            format!("({})", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Number of elements of a shape, or an error where it cannot be addressed.
pub fn count(shape: &[usize]) -> Result<usize> {
    // Zero anywhere means no elements, whatever the other sizes are.
    if shape.contains(&0) {
        return Ok(0);
    }
    match shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) {
        Some(n) if n <= isize::MAX as usize / 16 => Ok(n),
        _ => bail!(
            Memory,
            "a tensor of shape {} has more elements than memory can address",
            show(shape)
        ),
    }
}

/// Row-major strides.
pub fn row_major(shape: &[usize]) -> Strides {
    let mut strides: Strides = SmallVec::from_elem(1, shape.len());
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i].max(1) as isize;
    }
    strides
}

/// The shape that both shapes broadcast to by NumPy's rule, if there is one.
pub fn broadcast(operation: &str, a: &[usize], b: &[usize]) -> Result<Shape> {
    let n = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() < n { 1 } else { s[i + s.len() - n] };
    let mut out = Shape::with_capacity(n);
    for i in 0..n {
        let (x, y) = (at(a, i), at(b, i));
        match (x, y) {
            _ if x == y => out.push(x),
            (1, _) => out.push(y),
            (_, 1) => out.push(x),
            _ => bail!(
                Shape,
                "{operation}: shapes {} and {} do not broadcast: sizes {x} and {y} differ in dimension {i} and \
                 neither is 1",
                show(a),
                show(b)
            ),
        }
    }
    Ok(out)
}

impl Layout {
    /// Row-major without gaps, from the start of the buffer.
    pub fn contiguous(shape: &[usize]) -> Self {
        Self { shape: shape.into(), strides: row_major(shape), offset: 0 }
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// True where the elements follow each other in row-major order.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1isize;
        for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if size == 0 {
                return true;
            }
            if size != 1 && stride != expected {
                return false;
            }
            expected *= size as isize;
        }
        true
    }

    /// Lowest and one past the highest position touched, in elements.
    pub fn extent(&self) -> (usize, usize) {
        let (mut low, mut high) = (self.offset as isize, self.offset as isize);
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            if size == 0 {
                return (self.offset, self.offset);
            }
            let reach = (size as isize - 1) * stride;
            if reach < 0 {
                low += reach;
            } else {
                high += reach;
            }
        }
        (low as usize, high as usize + 1)
    }

    /// The same elements seen as `shape`, with stride zero where a size of 1 is repeated.
    pub fn broadcast_to(&self, operation: &str, shape: &[usize]) -> Result<Self> {
        let n = shape.len();
        let own = self.shape.len();
        if own > n || broadcast(operation, &self.shape, shape)?.as_slice() != shape {
            let (own, wanted) = (show(&self.shape), show(shape));
            bail!(Shape, "{operation}: a tensor of shape {own} cannot be broadcast to {wanted}");
        }
        let strides = (0..n)
            .map(|i| {
                if i + own < n {
                    return 0;
                }
                let j = i + own - n;
                if self.shape[j] == 1 && shape[i] != 1 { 0 } else { self.strides[j] }
            })
            .collect();
        Ok(Self { shape: shape.into(), strides, offset: self.offset })
    }

    /// The same elements with the dimensions reordered.
    pub fn permute(&self, order: &[usize]) -> Self {
        Self {
            shape: order.iter().map(|&i| self.shape[i]).collect(),
            strides: order.iter().map(|&i| self.strides[i]).collect(),
            offset: self.offset,
        }
    }
}

/// Turns a possibly negative dimension into an index, or says which dimensions there are.
pub fn dimension(operation: &str, dim: isize, ndim: usize) -> Result<usize> {
    let n = ndim as isize;
    if dim < -n || dim >= n {
        bail!(Index, "{operation}: dim {dim} is out of range for a tensor with {ndim} dimensions");
    }
    Ok(if dim < 0 { dim + n } else { dim } as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        assert_eq!(broadcast("add", &[3, 1], &[4]).expect("fits").as_slice(), [3, 4]);
        assert_eq!(broadcast("add", &[], &[2, 0]).expect("fits").as_slice(), [2, 0]);
        assert_eq!(broadcast("add", &[1], &[0]).expect("fits").as_slice(), [0]);
        let text = broadcast("add", &[3], &[4]).expect_err("differ").to_string();
        assert!(text.contains("add") && text.contains("(3,)") && text.contains("(4,)"), "{text}");
    }

    #[test]
    fn extents_cover_negative_strides() {
        let flipped = Layout {
            shape: [3, 4].as_slice().into(),
            strides: [-4, 1].as_slice().into(),
            offset: 8,
        };
        assert_eq!(flipped.extent(), (0, 12));
        assert!(!flipped.is_contiguous());
    }

    #[test]
    fn counting_detects_overflow() {
        assert_eq!(count(&[usize::MAX, 0]).expect("empty"), 0);
        assert!(count(&[1 << 40, 1 << 40]).is_err());
    }
}
