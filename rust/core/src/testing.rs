//! What tests of numbers need: gradients against central differences, and closeness with a message that helps.
//!
//! With random weights v, C = Σ v f(x) has every element of the Jacobian in its gradient, and
//!
//! ```text
//! Σ u · ∂C/∂x = (C(x + h u) - C(x - h u)) / 2h + O(h²)
//! ```
//!
//! holds for every direction u: for a random one over all inputs at once, and for each single element of a small
//! input.

use crate::dtype::DType;
use crate::error::{Error, Result, bail};
use crate::layout::show;
use crate::rng::{Key, fill_uniform};
use crate::tape::gradients;
use crate::tensor::Tensor;

/// The step of the central differences, against numbers of size one.
const STEP: f64 = 1e-5;
/// What the differences and the gradient may differ by, against their size.
const TOLERANCE: f64 = 1e-6;
/// Inputs up to this many elements are checked element by element.
const SMALL: usize = 64;

/// Numbers from -1 to 1, the same on every call.
fn random(n: usize, draw: u64) -> Vec<f64> {
    let mut x = vec![0.0; n];
    fill_uniform(Key { seed: 0, stream: 0x6772_6164 }, draw, 0, &mut x);
    x.into_iter().map(|x: f64| 2.0 * x - 1.0).collect()
}

/// Checks the gradients of `f` at `inputs` (float64, of any layout) against central differences.
///
/// Also checks that the layout of the inputs and of the incoming gradient changes nothing, and that a second backward
/// pass through the same graph, and one through a new graph, give the same bits. `f` must be a smooth function at
/// the inputs: stay away from kinks by more than the step.
pub fn gradcheck(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<()> {
    for input in inputs {
        if input.dtype() != DType::F64 {
            bail!(Type, "gradcheck: expected float64 inputs, got {}", input.dtype().name());
        }
    }
    let leaves: Vec<Tensor> = inputs.iter().map(leaf).collect::<Result<_>>()?;
    let output = f(&leaves)?;
    if !output.requires_grad() {
        bail!(Value, "gradcheck: the function is not on the tape");
    }
    let values: Vec<Vec<f64>> = inputs.iter().map(Tensor::to_vec).collect::<Result<_>>()?;
    let packed = at(&f, inputs, &values)?;
    compare("the output for packed inputs", &packed.to_vec()?, &output.to_vec()?, 1e-12)?;

    let weights = random(output.count(), 0);
    let gradient = Tensor::from_slice(&weights, output.shape())?;
    let of = |output: &Tensor, gradient: &Tensor| -> Result<Vec<Vec<f64>>> {
        let wanted: Vec<&Tensor> = leaves.iter().collect();
        let found = gradients(output, &wanted, Some(gradient), true)?;
        let lists = found.into_iter().zip(&leaves).map(|(gradient, leaf)| match gradient {
            Some(gradient) if gradient.shape() != leaf.shape() => {
                let (own, input) = (show(gradient.shape()), show(leaf.shape()));
                bail!(Value, "gradcheck: a gradient of shape {own} for an input of shape {input}")
            }
            Some(gradient) => gradient.to_vec(),
            None => Ok(vec![0.0; leaf.count()]),
        });
        lists.collect()
    };
    let analytic = of(&output, &gradient)?;
    for (what, again) in [
        ("a second backward pass", of(&output, &gradient)?),
        ("a backward pass through a new graph", of(&f(&leaves)?, &gradient)?),
    ] {
        if bits(&again) != bits(&analytic) {
            bail!(Value, "gradcheck: {what} gives other bits");
        }
    }
    for (i, (a, b)) in
        of(&output, &backward_in_memory(&gradient)?)?.iter().zip(&analytic).enumerate()
    {
        compare(&format!("input {i}, with a strided incoming gradient"), a, b, 1e-12)?;
    }

    let project = |values: &[Vec<f64>]| -> Result<f64> {
        let output = at(&f, inputs, values)?.to_vec::<f64>()?;
        Ok(output.iter().zip(&weights).map(|(y, v)| y * v).sum())
    };
    let slope = |input: Option<usize>, direction: &[Vec<f64>]| -> Result<f64> {
        let moved = |h: f64| -> Vec<Vec<f64>> {
            let pairs = values.iter().zip(direction).enumerate();
            pairs
                .map(|(i, (x, u))| {
                    let h = if input.is_none_or(|only| only == i) { h } else { 0.0 };
                    x.iter().zip(u).map(|(x, u)| x + h * u).collect()
                })
                .collect()
        };
        Ok((project(&moved(STEP))? - project(&moved(-STEP))?) / (2.0 * STEP))
    };
    let direction: Vec<Vec<f64>> =
        values.iter().zip(1..).map(|(x, draw)| random(x.len(), draw)).collect();
    let along: f64 =
        analytic.iter().flatten().zip(direction.iter().flatten()).map(|(g, u)| g * u).sum();
    compare("the slope in a random direction", &[along], &[slope(None, &direction)?], TOLERANCE)?;

    let mut axis: Vec<Vec<f64>> = values.iter().map(|x| vec![0.0; x.len()]).collect();
    for (i, gradient) in analytic.iter().enumerate().filter(|(_, g)| g.len() <= SMALL) {
        let mut numeric = Vec::with_capacity(gradient.len());
        for element in 0..gradient.len() {
            axis[i][element] = 1.0;
            numeric.push(slope(Some(i), &axis)?);
            axis[i][element] = 0.0;
        }
        compare(&format!("the gradient of input {i}"), gradient, &numeric, TOLERANCE)?;
    }
    Ok(())
}

/// The same memory as a tensor that asks for a gradient.
fn leaf(input: &Tensor) -> Result<Tensor> {
    let leaf = input.view(input.layout().clone());
    leaf.set_requires_grad(true)?;
    Ok(leaf)
}

/// The function at other values of its inputs.
fn at(
    f: &impl Fn(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
    values: &[Vec<f64>],
) -> Result<Tensor> {
    let pairs = inputs.iter().zip(values);
    let inputs: Vec<Tensor> =
        pairs.map(|(input, x)| Tensor::from_slice(x, input.shape())).collect::<Result<_>>()?;
    f(&inputs)
}

/// The same values, lying backward in memory.
fn backward_in_memory(x: &Tensor) -> Result<Tensor> {
    let dims: Vec<isize> = (0..x.ndim() as isize).collect();
    x.flip(&dims)?.packed()?.flip(&dims)
}

fn bits(lists: &[Vec<f64>]) -> Vec<Vec<u64>> {
    lists.iter().map(|x| x.iter().map(|x| x.to_bits()).collect()).collect()
}

/// An error that names the worst pair unless all agree within `tolerance` of the largest number there is.
fn compare(what: &str, actual: &[f64], expected: &[f64], tolerance: f64) -> Result<()> {
    if actual.len() != expected.len() {
        bail!(Value, "{what}: {} numbers where {} were expected", actual.len(), expected.len());
    }
    let size =
        expected.iter().filter(|x| x.is_finite()).fold(1.0, |size: f64, x| size.max(x.abs()));
    let apart =
        |a: f64, e: f64| if a == e || (a.is_nan() && e.is_nan()) { 0.0 } else { (a - e).abs() };
    let pairs = actual.iter().zip(expected).map(|(&a, &e)| apart(a, e)).enumerate();
    // NaN against a number is the worst of all.
    let worst = pairs.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    match worst {
        Some((i, error)) if error.is_nan() || error > tolerance * size => {
            Err(Error::Value(format!(
                "{what}: element {i} of {} is {:e}, expected {:e}; they differ by {error:e}, allowed are {:e}",
                actual.len(),
                actual[i],
                expected[i],
                tolerance * size
            )))
        }
        _ => Ok(()),
    }
}

/// Panics unless every element of a floating-point tensor is near what was expected: within `tolerance` of the largest
/// number expected, or of 1. NaN and infinities must be met exactly.
///
/// # Panics
/// Where an element is further away; the message names the worst one.
#[track_caller]
pub fn assert_close(actual: &Tensor, expected: &[f64], tolerance: f64) {
    let outcome = actual
        .detach()
        .cast(DType::F64)
        .and_then(|actual| actual.to_vec::<f64>())
        .and_then(|actual| compare("assert_close", &actual, expected, tolerance));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Backward, Gradients};
    use smallvec::smallvec;

    /// x², with a factor in its gradient.
    struct Square(f64, Tensor);

    impl Backward for Square {
        fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
            let factor = Tensor::full(&[], self.0, DType::F64)?;
            Ok(smallvec![Some(grad.mul(&self.1)?.mul(&factor)?)])
        }
    }

    fn square(factor: f64) -> impl Fn(&[Tensor]) -> Result<Tensor> {
        move |x| {
            Ok(x[0]
                .detach()
                .square()?
                .recorded("square", &[&x[0]], |_| Square(factor, x[0].detach())))
        }
    }

    #[test]
    fn right_gradients_pass_and_wrong_ones_are_named() {
        let x = Tensor::from_slice(&[0.5, -2.0, 3.0], &[3]).expect("fits");
        gradcheck(square(2.0), std::slice::from_ref(&x)).expect("the derivative of x²");
        let wrong = gradcheck(square(2.001), std::slice::from_ref(&x)).expect_err("a wrong factor");
        assert!(wrong.to_string().contains("random direction"), "{wrong}");
        let large = Tensor::full(&[100], 0.7, DType::F64).expect("small");
        assert!(gradcheck(square(1.0), &[large]).is_err());
        let single = x.cast(DType::F32).expect("casts");
        assert!(gradcheck(square(2.0), &[single]).is_err());
        assert!(gradcheck(|x| Ok(x[0].detach()), &[x]).is_err());
    }

    #[test]
    fn closeness_names_the_worst_element() {
        let x = Tensor::from_slice(&[1.0f32, f32::NAN, 4.0], &[3]).expect("fits");
        assert_close(&x, &[1.0, f64::NAN, 4.0], 1e-6);
        for (expected, element) in
            [([1.0, f64::NAN, 4.1], "element 2"), ([1.0, 2.0, 4.0], "element 1")]
        {
            let panic = std::panic::catch_unwind(|| assert_close(&x, &expected, 1e-3));
            let text = panic.expect_err("too far").downcast::<String>().expect("a text");
            assert!(text.contains(element), "{text}");
        }
    }
}
