//! A step that is captured once and replayed gives the bits of the same step run again and again.

use std::time::Duration;

use evengrad_core::generator::Generator;
use evengrad_core::ops::loss::{Reduction, cross_entropy};
use evengrad_core::plan::Plan;
use evengrad_core::tape::gradients;
use evengrad_core::{DType, Result, Tensor, capture, team};

/// A small net with all that is random, row by row and in place.
struct Net {
    generator: Generator,
    x: Tensor,
    labels: Tensor,
    table: Tensor,
    kernel: Tensor,
    total: Tensor,
}

impl Net {
    fn new((rows, width): (usize, usize)) -> Result<Self> {
        let generator = Generator::new(11, 5);
        let uniform = |shape: &[usize]| Tensor::uniform(shape, &generator, -1.0, 1.0, DType::F32);
        let (x, table, kernel) =
            (uniform(&[rows, width])?, uniform(&[10, width])?, uniform(&[width, 10])?);
        let labels: Vec<i64> = (0..rows as i64).map(|i| i * i % 10).collect();
        for parameter in [&table, &kernel] {
            parameter.set_requires_grad(true)?;
        }
        let labels = Tensor::from_slice(&labels, &[rows])?;
        let total = Tensor::zeros(&[], DType::F64)?;
        Ok(Self { generator, x, labels, table, kernel, total })
    }

    fn step(&self) -> Result<()> {
        let noise = Tensor::normal(self.x.shape(), &self.generator, 0.0, 0.1, DType::F32)?;
        let h = self.x.add(&noise)?.add(&self.table.take_rows(&self.labels)?)?;
        let h = h.elu(1.0)?.dropout(0.25, &self.generator)?;
        let h = h.sub(&h.mean(&[0], true)?)?;
        let z = h.matmul(&self.kernel)?.dropout(0.1, &self.generator)?;
        let loss = cross_entropy(&z, &self.labels, 0.1, None, Reduction::Mean)?;
        let loss = loss.add(&z.amax(&[1], false)?.mean(&[], false)?)?;
        let parameters = [&self.table, &self.kernel];
        let found = gradients(&loss, &parameters, None, false)?;
        for (parameter, gradient) in parameters.into_iter().zip(found.iter().flatten()) {
            parameter.detach().accumulate(gradient, -0.1)?;
        }
        self.total.accumulate(&loss, 1.0)
    }

    fn state(&self) -> Result<(Vec<u32>, Vec<u32>, u64, u64)> {
        let bits = |t: &Tensor| -> Result<Vec<u32>> {
            Ok(t.to_vec::<f32>()?.into_iter().map(f32::to_bits).collect())
        };
        let total = self.total.item()?;
        assert!(total.is_finite() && total > 0.0);
        Ok((bits(&self.table)?, bits(&self.kernel)?, total.to_bits(), self.generator.draws()))
    }
}

fn check(size: (usize, usize)) -> Result<()> {
    const STEPS: usize = 6;
    let eager = Net::new(size)?;
    for _ in 0..STEPS {
        eager.step()?;
    }
    let expected = eager.state()?;
    for threads in [1, 3] {
        team::set_threads(threads)?;
        let net = Net::new(size)?;
        capture::begin()?;
        net.step()?;
        let mut plan = Plan::new(capture::end().expect("open"))?;
        // An eager step between replays goes on with the same numbers.
        assert_eq!(plan.replay(2, Duration::MAX), Ok(2));
        net.step()?;
        assert_eq!(plan.replay(STEPS - 4, Duration::MAX), Ok(STEPS - 4));
        assert!(net.state()? == expected, "{threads} threads");
    }
    Ok(())
}

#[test]
fn replays_repeat_the_eager_loop_bit_by_bit() -> Result<()> {
    check((48, 24))?;
    // Arrays of several MiB, whose pages a capture gives back.
    check((1100, 512))
}
