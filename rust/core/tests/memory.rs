//! Memory over long runs, in a process of its own: the pool is shared, and other tests would be counted too.

use std::env;
use std::process::Command;

use evengrad_core::ops::dense::dense;
use evengrad_core::ops::elementwise::by_name;
use evengrad_core::optim::{Convention, Momentum, Optimizer};
use evengrad_core::{DType, Result, Tensor, buffer, tape};

/// Set in the process that runs the test, and nothing else.
const ALONE: &str = "EVENGRAD_TEST_ALONE";
const PATH: &str =
    concat!(module_path!(), "::twenty_thousand_steps_take_no_more_memory_than_one_hundred");

#[test]
fn twenty_thousand_steps_take_no_more_memory_than_one_hundred() -> Result<()> {
    if env::var_os(ALONE).is_some() {
        return check();
    }
    let (_crate, name) = PATH.split_once("::").expect("a path begins with the crate");
    let output = Command::new(env::current_exe().expect("a program is running"))
        .args(["--exact", name])
        .env(ALONE, "1")
        .output()
        .expect("the program of the tests starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    Ok(())
}

fn check() -> Result<()> {
    let weight = Tensor::full(&[8, 8], 0.5, DType::F32)?;
    weight.set_requires_grad(true)?;
    let x = Tensor::ones(&[4, 8], DType::F32)?;
    let momentum = Momentum {
        learning_rate: 1e-3,
        momentum: 0.9,
        dampening: 0.0,
        nesterov: true,
        convention: Convention::Torch,
    };
    let optimizer = Optimizer::new(momentum)?;
    let run = |steps: usize| -> Result<usize> {
        for _ in 0..steps {
            let loss =
                dense(&x, &weight, None, by_name("tanh", &[]))?.square()?.mean(&[], false)?;
            let gradients = tape::gradients(&loss, &[&weight], None, false)?;
            let gradients: Vec<Tensor> = gradients.into_iter().flatten().collect();
            optimizer.apply(&[&weight], &gradients.iter().collect::<Vec<_>>())?;
        }
        Ok(buffer::pooled_bytes())
    };
    let early = run(100)?;
    assert!(early > 0, "a step returns its memory to the pool");
    assert_eq!(run(19_900)?, early);
    Ok(())
}
