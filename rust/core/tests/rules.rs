//! Update rules against values that were computed elsewhere: 50-digit arithmetic on the rules as their papers and the
//! three libraries state them. Start 1, gradients ½, −¼, 1, all other settings the convention's defaults.

#![allow(
    clippy::unreadable_literal,
    reason = "values as they were computed, twelve digits after the point"
)]

use evengrad_core::optim::{
    Adadelta, Adagrad, Adamax, Around, Averaging, Convention, Decay, Lion, Nadam, Optimizer,
    RmsProp, Sgd, UpdateRule,
};
use evengrad_core::{Result, Tensor};

use Convention::{Keras, Tf1, Torch};

fn path(optimizer: &Optimizer) -> Result<Vec<f64>> {
    let weight = Tensor::from_slice(&[1.0_f64], &[1])?;
    let mut values = Vec::new();
    for gradient in [0.5, -0.25, 1.0] {
        optimizer.apply(&[&weight], &[&Tensor::from_slice(&[gradient], &[1])?])?;
        values.push(weight.item()?);
    }
    Ok(values)
}

#[track_caller]
fn check(rule: impl UpdateRule, expected: [f64; 3]) {
    let name = rule.name();
    let values = Optimizer::new(rule).and_then(|optimizer| path(&optimizer)).expect("one element");
    for (value, expected) in values.iter().zip(expected) {
        assert!((value - expected).abs() < 6e-13, "{name}: {values:?}");
    }
}

#[test]
fn adagrad() {
    let rule = |initial_accumulator_value, epsilon, lr_decay, convention| Adagrad {
        learning_rate: 0.1,
        initial_accumulator_value,
        epsilon,
        lr_decay,
        convention,
    };
    check(rule(0.1, 1e-7, 0.0, Keras), [0.915484586601, 0.954409529091, 0.870268899687]);
    check(rule(0.0, 1e-10, 0.0, Torch), [0.900000000020, 0.944721359562, 0.857434203475]);
    check(rule(0.1, 0.0, 0.0, Tf1), [0.915484574527, 0.954409521735, 0.870268889353]);
}

#[test]
fn rmsprop() {
    let rule = |rho, epsilon, centered, momentum, convention| RmsProp {
        learning_rate: 0.1,
        rho,
        momentum,
        epsilon,
        centered,
        convention,
    };
    check(rule(0.9, 1e-7, false, 0.0, Keras), [0.683772866437, 0.831214566172, 0.549356748048]);
    check(rule(0.99, 1e-8, false, 0.0, Torch), [0.000000200000, 0.449013374422, -0.425726216071]);
    check(rule(0.9, 1e-10, false, 0.0, Tf1), [0.948012475512, 0.975310030032, 0.867154509557]);
    check(rule(0.9, 1e-7, true, 0.9, Keras), [0.666667407405, 0.515146279932, 0.079904860837]);
    check(rule(0.99, 1e-8, true, 0.9, Torch), [-0.005037613239, -0.460122948565, -1.749652525352]);
    check(rule(0.9, 1e-10, true, 0.9, Tf1), [0.947942079373, 0.928394016762, 0.801753526363]);
}

#[test]
fn adadelta() {
    let rule = |rho, epsilon| Adadelta { learning_rate: 100.0, rho, epsilon };
    check(rule(0.95, 1e-7), [0.858579209445, 0.949865815501, 0.757941262441]);
    check(rule(0.9, 1e-6), [0.683778558349, 0.892287261128, 0.461615699908]);
    check(rule(0.95, 1e-8), [0.955278658339, 0.984146156402, 0.923454102244]);
}

#[test]
fn nadam_and_its_product() -> Result<()> {
    let rule = |epsilon, momentum_decay, convention| Nadam {
        learning_rate: 0.1,
        beta_1: 0.9,
        beta_2: 0.999,
        epsilon,
        momentum_decay,
        convention,
    };
    check(rule(1e-7, 1.0, Keras), [0.893721240925, 0.932980757020, 0.838192615646]);
    check(rule(1e-8, 0.004, Torch), [0.894354824277, 0.935465796161, 0.835655586074]);
    check(rule(1e-8, 0.0, Tf1), [0.810000120166, 0.819321911279, 0.704319729494]);
    // However many groups there are, the product goes one step on: ∏ .9(1 − ½·.96ᵗ) over three steps.
    let optimizer = Optimizer::new(rule(1e-7, 1.0, Keras))?;
    let slow = Tensor::from_slice(&[1.0_f64], &[1])?;
    optimizer.scale(&slow, 0.5, 1.0)?;
    path(&optimizer)?;
    assert!((optimizer.memory() - 0.113_979_945_111_552).abs() < 1e-14);
    Ok(())
}

#[test]
fn adamax() {
    let rule = |epsilon, convention| Adamax {
        learning_rate: 0.1,
        beta_1: 0.9,
        beta_2: 0.999,
        epsilon,
        convention,
    };
    check(rule(1e-7, Keras), [0.900000020000, 0.878926318935, 0.835383887865]);
    check(rule(1e-8, Torch), [0.900000002000, 0.878926297137, 0.835383862148]);
    check(rule(1e-8, Tf1), [0.900000002000, 0.878926297138, 0.835383862149]);
}

#[test]
fn lion() {
    // Signs of .05, .9·.005 − .1·.25 = −.0205, .9·.00245 + .1 > 0.
    check(Lion { learning_rate: 0.25, beta_1: 0.9, beta_2: 0.99 }, [0.75, 1.0, 0.75]);
}

#[test]
fn multiples_of_rate_and_decay() -> Result<()> {
    let decay = Some((Decay::Decoupled, 0.5));
    let optimizer = Optimizer::with(Sgd { learning_rate: 1.0 }, decay, Around::default())?;
    let weights = [(); 3].map(|()| Tensor::from_slice(&[8.0_f64], &[1]).expect("small"));
    let [usual, slow, free] = &weights;
    optimizer.scale(slow, 0.5, 1.0)?;
    optimizer.scale(free, 0.25, 0.0)?;
    let one = Tensor::from_slice(&[1.0_f64], &[1])?;
    optimizer.apply(&[usual, slow, free], &[&one, &one, &one])?;
    let values: Vec<f64> = weights.iter().map(|w| w.item().expect("one element")).collect();
    // θ ← θ − ηλθ − ηg
    assert_eq!(values, [3.0, 5.5, 7.75]);
    Ok(())
}

#[test]
fn gradients_are_gathered_and_weights_averaged() -> Result<()> {
    let averaging = Some(Averaging { momentum: 0.5, overwrite_every: 3 });
    let around = Around { accumulation: 2, averaging };
    let optimizer = Optimizer::with(Sgd { learning_rate: 1.0 }, None, around)?;
    let weight = Tensor::from_slice(&[8.0_f32], &[1])?;
    assert_eq!(optimizer.slot_names(), ["gradient_accumulator", "average"]);
    let mut seen = Vec::new();
    for gradient in [1.0_f32, 3.0, 0.0, 4.0, 0.0, 8.0] {
        let gradient = Tensor::from_slice(&[gradient], &[1])?;
        let means = optimizer.accumulate(&[&weight], &[&gradient])?;
        optimizer.apply(&[&weight], &[&means[0]])?;
        optimizer.average(&[&weight])?;
        let average = optimizer.slots(&weight)?[1].item()?;
        seen.push((weight.item()?, average, optimizer.gate().item()?, optimizer.iterations()));
    }
    // Means 2, 2, 4: θ = 6, 4, 0; e = 6, 5, 2½, and that is θ after the third update.
    let expected = [
        (8.0, 8.0, 0.0, 0),
        (6.0, 6.0, 1.0, 1),
        (6.0, 6.0, 0.0, 1),
        (4.0, 5.0, 1.0, 2),
        (4.0, 5.0, 0.0, 2),
        (2.5, 2.5, 1.0, 3),
    ];
    assert_eq!(seen, expected);
    assert!(optimizer.apply(&[&weight], &[&weight]).is_err());
    assert!(optimizer.set_accumulated(2).is_err());
    Ok(())
}
