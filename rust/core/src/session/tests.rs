use super::*;

fn feeds() -> Vec<Feed> {
    vec![Feed::new(2).expect("size"), Feed::new(1).expect("size")]
}

fn five_rows(shuffle: Option<Generator>, sums: Vec<Tensor>, window: usize) -> Session {
    Session::over_rows(5, shuffle, feeds(), sums, window).expect("no row is left")
}

fn notes(record: &Tensor) -> Notes {
    Notes::new(record.clone(), vec![], None, vec![]).expect("float64")
}

fn f64_sum() -> Tensor {
    Tensor::zeros(&[], DType::F64).expect("small")
}

/// Runs until that is reached and notes the batches, one step at a time; rows that were loaded by the names they
/// have in the data.
fn run(session: &mut Session, sum: &Tensor, until: Until) -> Vec<Vec<i64>> {
    session.start(until);
    let (mut batches, mut held) = (vec![], None::<Vec<i64>>);
    loop {
        match session.decide().expect("no step fails") {
            Next::Reached => return batches,
            Next::Prepare(steps) => session.prepared(steps),
            Next::Load(rows) => held = Some(rows),
            Next::Run { kind, steps, .. } => {
                assert!(steps > 0);
                let Source::Rows { feeds, .. } = &session.source else { unreachable!("rows") };
                feeds[kind].next_batch().expect("a batch is left");
                let batch = feeds[kind].indices().to_vec::<i64>().expect("i64");
                let of_data = |row: &i64| held.as_ref().map_or(*row, |rows| rows[*row as usize]);
                let batch: Vec<i64> = batch.iter().map(of_data).collect();
                let so_far = sum.to_vec::<f64>().expect("f64")[0];
                sum.write(&[so_far + batch.len() as f64]).expect("one element");
                batches.push(batch);
                session.ran(1, None);
            }
        }
    }
}

#[test]
fn every_epoch_visits_all_rows_and_begins_with_empty_sums() {
    for window in [2, 3, 4, 5] {
        let sum = f64_sum();
        let mut session = five_rows(None, vec![sum.clone()], window);
        let batches = run(&mut session, &sum, Until::Epochs(3));
        assert_eq!(session.finished(), [5.0; 3]);
        assert!(session.ended().is_sorted() && session.ended().len() == 3);
        assert_eq!(batches[..3], [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(batches[3..6], batches[..3]);
        assert_eq!((batches.len(), session.step()), (9, None));
    }
}

#[test]
fn each_epoch_draws_an_order_as_the_generator_gives_it() {
    let sum = f64_sum();
    let mut session = five_rows(Some(Generator::new(3, 1)), vec![], 5);
    let batches = run(&mut session, &sum, Until::Epochs(2));
    let same = Generator::new(3, 1);
    let orders = [same.permutation(5).expect("few"), same.permutation(5).expect("few")];
    assert_eq!(batches.concat(), orders.concat());
}

#[test]
fn steps_end_with_the_epoch_and_go_on_where_they_were() {
    let sum = f64_sum();
    let mut session = five_rows(None, vec![sum.clone()], 5);
    assert_eq!(run(&mut session, &sum, Until::Steps(2)).len(), 2);
    assert_eq!(session.step(), Some(2));
    assert_eq!(run(&mut session, &sum, Until::Steps(7)), [vec![4]]);
    assert_eq!((session.step(), session.finished()), (None, &[5.0][..]));
    assert_eq!(run(&mut session, &sum, Until::Steps(3)).len(), 3);
    assert_eq!(session.step(), None);
    assert!(session.has_ended());
    assert_eq!(run(&mut session, &sum, Until::Seconds(Duration::ZERO, 9)).len(), 1);
    assert!(!session.has_ended());
    assert_eq!(run(&mut session, &sum, Until::Seconds(Duration::from_secs(9), 9)).len(), 2);
    session.start(Until::Epochs(1));
    assert!(!session.has_ended());
}

#[test]
fn an_epoch_is_gone_on_with_from_any_step() {
    for (step, window) in [(0, 5), (1, 5), (2, 2), (3, 5)] {
        let (sum, key) = (f64_sum(), Generator::new(9, 0));
        let whole = key.permutation(5).expect("few");
        key.set_draws(0);
        let mut session = five_rows(Some(key), vec![], window);
        session.seek(step, 0).expect("a step of the epoch");
        let rest = run(&mut session, &sum, Until::Epochs(1)).concat();
        assert_eq!(rest, whole[(2 * step).min(5)..], "from step {step}");
    }
    assert!(five_rows(None, vec![], 5).seek(4, 0).is_err());
}

#[test]
fn another_window_changes_no_batch() {
    for (before, after) in [(5, 2), (2, 5), (3, 2), (5, 5)] {
        for made in 0..4 {
            let (sum, key) = (f64_sum(), Generator::new(9, 0));
            let whole = key.permutation(5).expect("few");
            key.set_draws(0);
            let mut session = five_rows(Some(key), vec![], before);
            let mut rows = run(&mut session, &sum, Until::Steps(made)).concat();
            session.set_window(after).expect("no batch is larger");
            rows.extend(run(&mut session, &sum, Until::Steps(3 - made)).concat());
            assert_eq!(rows, whole, "from {before} to {after} after {made} steps");
        }
    }
    assert!(five_rows(None, vec![], 5).set_window(1).is_err());
    assert!(Session::over_host_batches(None, vec![]).expect("no sums").set_window(5).is_err());
}

#[test]
fn limited_epochs_go_on_in_the_order_and_limited_orders_leave_rows_out() {
    for window in [2, 5] {
        let sum = f64_sum();
        let mut session = five_rows(None, vec![sum.clone()], window);
        session.limit(Some(2), None).expect("of rows");
        let batches = run(&mut session, &sum, Until::Epochs(3));
        assert_eq!(batches, [vec![0, 1], vec![2, 3], vec![4], vec![0, 1], vec![2, 3]]);
        assert_eq!(session.finished(), [4.0, 1.0, 4.0]);
        assert_eq!((session.epoch_start(), session.steps_per_epoch()), (2, Some(1)));
        session.limit(None, Some(2)).expect("of rows");
        session.seek(0, 0).expect("an epoch has a beginning");
        let batches = run(&mut session, &sum, Until::Epochs(2));
        assert_eq!(batches, [vec![0, 1], vec![2, 3], vec![0, 1], vec![2, 3]]);
    }
    assert!(five_rows(None, vec![], 5).limit(Some(0), None).is_err());
}

#[test]
fn a_limited_epoch_is_gone_on_with_from_any_step() {
    for (step, epoch_start, window) in [(0, 0, 5), (1, 0, 2), (0, 2, 5), (1, 2, 2)] {
        let (sum, key) = (f64_sum(), Generator::new(9, 0));
        let whole = key.permutation(5).expect("few");
        key.set_draws(0);
        let mut session = five_rows(Some(key), vec![], window);
        session.limit(Some(2), None).expect("of rows");
        session.seek(step, epoch_start).expect("a step of the epoch");
        assert_eq!(session.order_draw(), Some(0));
        let rest = run(&mut session, &sum, Until::Epochs(if epoch_start > 0 { 1 } else { 2 }));
        assert_eq!(rest.concat(), whole[(2 * (epoch_start + step)).min(5)..]);
        assert_eq!((session.order_draw(), session.epoch_start()), (None, 0));
    }
    let mut session = five_rows(None, vec![], 5);
    session.limit(Some(2), None).expect("of rows");
    for (step, epoch_start) in [(3, 0), (2, 2), (0, 3)] {
        assert!(session.seek(step, epoch_start).is_err());
    }
    assert_eq!((session.epoch_start(), session.step()), (0, None));
}

#[test]
fn scheduled_values_are_asked_for_before_the_steps_that_use_them() {
    let mut session = five_rows(None, vec![], 5);
    session.set_scheduled(true);
    session.start(Until::Steps(2));
    assert_eq!(session.decide().expect("idle"), Next::Prepare(2));
    session.prepared(2);
    assert_eq!(session.decide().expect("idle"), Next::Run { kind: 0, steps: 2, watched: false });
    session.ran(1, None);
    assert_eq!(session.decide().expect("idle"), Next::Run { kind: 0, steps: 1, watched: false });
    // Those of the epochs to come, and not more than can be kept.
    for (epochs, steps) in [(1, 2), (3, 2 + 2 * 3), (usize::MAX, PREPARED_AT_A_TIME)] {
        session.start(Until::Epochs(epochs));
        assert_eq!(session.decide().expect("idle"), Next::Prepare(steps));
    }
}

#[test]
fn batches_of_the_host_end_when_it_says_so() {
    let mut session = Session::over_host_batches(Some(2), vec![]).expect("no sums");
    session.start(Until::Epochs(2));
    for _ in 0..2 {
        assert_eq!(
            session.decide().expect("idle"),
            Next::Run { kind: 0, steps: 1, watched: false }
        );
        session.ran(1, None);
    }
    assert_eq!(session.decide().expect("idle"), Next::Run { kind: 0, steps: 1, watched: false });
    session.ran(1, None);
    session.end_epoch().expect("no sums");
    assert_eq!(session.decide().expect("idle"), Next::Reached);
    assert_eq!((session.step(), session.last_epoch_steps()), (None, 1));
    session.start(Until::Steps(9));
    assert_eq!(session.decide().expect("idle"), Next::Run { kind: 0, steps: 1, watched: false });
    session.end_epoch().expect("no sums");
    assert_eq!(session.decide().expect("idle"), Next::Reached);
}

#[test]
fn rows_without_a_batch_and_sums_of_another_type_are_refused() {
    let feed = || Feed::new(2).expect("size");
    let sum = |dtype| Tensor::zeros(&[], dtype).expect("small");
    let refused = |feeds, sums, window| {
        Session::over_rows(5, None, feeds, sums, window).err().map(|error| error.to_string())
    };
    let left = refused(vec![feed()], vec![], 5).expect("a row is left");
    assert!(left.contains("1 of 5 rows"), "{left}");
    assert!(refused(vec![], vec![], 5).is_some());
    assert!(refused(feeds(), vec![], 1).expect("narrow").contains("smaller than a batch"));
    assert!(refused(feeds(), vec![sum(DType::F32)], 5).expect("f32").contains("float64"));
    assert!(refused(feeds(), vec![sum(DType::F64)], 5).is_none());
}

#[test]
fn watched_steps_are_made_alone_at_their_places() {
    let (sum, record) = (f64_sum(), f64_sum());
    let mut session = five_rows(None, vec![sum.clone()], 5);
    session.set_scheduled(true);
    session.watch(notes(&record), Some(2)).expect("not 0");
    session.start(Until::Epochs(2));
    let mut made = vec![];
    loop {
        match session.decide().expect("no step fails") {
            Next::Reached => break,
            Next::Prepare(_) => session.prepared(4),
            Next::Load(_) => unreachable!("all rows are there"),
            Next::Run { kind, steps, watched } => {
                assert_eq!(session.is_watched(), watched);
                record.write(&[made.len() as f64]).expect("one element");
                session.notes().expect("watched").take_in(watched);
                session.ran(steps, None);
                made.push((kind, steps, watched));
            }
        }
    }
    let first = [(0, 1, true), (0, 1, false), (1, 1, true)];
    assert_eq!(made, [first, [(0, 1, false), (0, 1, true), (1, 1, false)]].concat());
    let samples = session.notes().expect("watched").take_samples();
    assert_eq!(samples, (vec![0, 2, 4], vec![0.0, 2.0, 4.0]));
    // A step that leaves the run waits for the next one, and plain steps up to a watched one come together.
    let mut session = Session::over_rows(8, None, vec![Feed::new(2).expect("size")], vec![], 8)
        .expect("no row is left");
    session.watch(notes(&record), Some(3)).expect("not 0");
    session.start(Until::Steps(9));
    for (steps, watched) in [(1, true), (2, false), (1, true)] {
        assert_eq!(session.decide().expect("idle"), Next::Run { kind: 0, steps, watched });
        session.ran(steps, None);
    }
    assert_eq!(session.decide().expect("idle"), Next::Reached);
    assert!(session.watch(notes(&record), Some(0)).is_err());
}

#[test]
fn where_all_steps_are_watched_they_come_together() {
    let record = f64_sum();
    let mut session = five_rows(None, vec![], 5);
    session.watch(notes(&record), Some(1)).expect("not 0");
    session.start(Until::Epochs(2));
    let mut made = vec![];
    while let Next::Run { kind, steps, watched } = session.decide().expect("no step fails") {
        (0..steps).for_each(|_| session.notes().expect("watched").take_in(watched));
        session.ran(steps, Some(Duration::from_millis(1)));
        made.push((kind, steps, watched));
    }
    assert_eq!(made, [[(0, 2, true), (1, 1, true)]; 2].concat());
    let notes = session.notes().expect("watched");
    assert_eq!(notes.take_samples().0, [0, 1, 2, 3, 4, 5]);
}
