//! The tape: one node for each recorded operation, walked backward without recursion.
//!
//! A node holds its backward rule and edges to what its inputs were made by, and numbers rise in the order of
//! recording; so the pending gradients, kept in a map by number, are taken from the highest down, and a node
//! is reached only after everything that used its output. Nodes are counted references rather than places in
//! one vector: parts of a graph that nobody holds any more are freed at once, on any thread.

mod hooks;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use hooks::{Hook, Hooks};
use smallvec::{SmallVec, smallvec};

use crate::error::{Error, Result, bail};
use crate::layout::show;
use crate::team::lock;
use crate::tensor::{Tensor, WeakTensor};

/// Gradients for the inputs of an operation, in their order; `None` where an input has none.
pub type Gradients = SmallVec<[Option<Tensor>; 3]>;

/// The backward rule of one operation, with what it kept of the forward pass.
pub trait Backward: Send + Sync + 'static {
    /// Gradients of the inputs, given the gradient of the output. `needs[i]` is false where the gradient of
    /// input `i` is not asked for and may be left out.
    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients>;
}

/// The rule of an operation with one input: its gradient, given that of the output.
pub(crate) struct OfOne<R>(pub(crate) R);

impl<R: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static> Backward for OfOne<R> {
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        Ok(smallvec![Some((self.0)(grad)?)])
    }
}

/// A tensor kept for the backward pass. It refuses to be used after its memory was written again.
#[derive(Debug)]
pub struct Saved {
    tensor: Tensor,
    version: u64,
}

impl Saved {
    /// Keeps a tensor (off the tape, so that nodes never hold each other in a circle).
    pub fn new(tensor: &Tensor) -> Self {
        Self { tensor: tensor.detach(), version: tensor.buffer().version() }
    }

    /// The kept tensor.
    pub fn get(&self) -> Result<&Tensor> {
        if self.tensor.buffer().version() != self.version {
            bail!(
                State,
                "backward: a tensor of shape {} that this pass needs was changed in place after it was used (for \
                 example by an optimizer update between forward and backward); run the forward pass again",
                show(self.tensor.shape())
            );
        }
        Ok(&self.tensor)
    }
}

/// Where the gradient of an input goes.
enum Edge {
    /// Nobody asked for it.
    Nowhere,
    /// A leaf collects it.
    Leaf(Tensor),
    /// It is the gradient of another operation's output.
    Node(Arc<Node>),
}

struct Record {
    rule: Box<dyn Backward>,
    edges: SmallVec<[Edge; 3]>,
}

/// One recorded operation.
pub struct Node {
    number: u64,
    name: &'static str,
    record: Mutex<Option<Record>>,
    retained: Mutex<Option<WeakTensor>>,
    hooks: OnceLock<Arc<Hooks>>,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Node {
    pub(crate) fn new(
        name: &'static str,
        inputs: &[&Tensor],
        rule: Box<dyn Backward>,
    ) -> Arc<Self> {
        let edges = inputs
            .iter()
            .map(|input| match input.node() {
                Some(node) => Edge::Node(Arc::clone(node)),
                None if input.requires_grad() => Edge::Leaf((*input).clone()),
                None => Edge::Nowhere,
            })
            .collect();
        Arc::new(Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            name,
            record: Mutex::new(Some(Record { rule, edges })),
            retained: Mutex::new(None),
            hooks: OnceLock::new(),
        })
    }

    /// The operation's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Leaves the gradient of this node's output with `tensor` when a backward pass comes by.
    pub(crate) fn retain(&self, tensor: &Tensor) {
        *lock(&self.retained) = Some(tensor.downgrade());
    }

    pub(crate) fn hooks(&self) -> &OnceLock<Arc<Hooks>> {
        &self.hooks
    }

    fn take_record(&mut self) -> Option<Record> {
        self.record.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} backward>", self.name)
    }
}

impl Drop for Node {
    /// Frees a chain of nodes one after the other: the default drop would recurse once for each.
    fn drop(&mut self) {
        let mut pending: Vec<Record> = self.take_record().into_iter().collect();
        while let Some(record) = pending.pop() {
            for edge in record.edges {
                if let Edge::Node(node) = edge
                    && let Some(mut node) = Arc::into_inner(node)
                {
                    pending.extend(node.take_record());
                }
            }
        }
    }
}

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
}

/// Stops recording on this thread until it is dropped.
#[derive(Debug)]
pub struct NoGrad(bool);

/// Operations on this thread are not recorded while the guard lives.
pub fn no_grad() -> NoGrad {
    NoGrad(RECORDING.replace(false))
}

impl Drop for NoGrad {
    fn drop(&mut self) {
        RECORDING.set(self.0);
    }
}

/// Switches recording on this thread on or off and returns what it was: for a host whose scopes are not Rust's.
pub fn set_recording(on: bool) -> bool {
    RECORDING.replace(on)
}

/// True where operations on this thread go on the tape, if one of their inputs asks for it.
pub fn records() -> bool {
    RECORDING.get()
}

/// True where an operation on these inputs goes on the tape.
pub fn is_recording(inputs: &[&Tensor]) -> bool {
    RECORDING.get() && inputs.iter().any(|input| input.requires_grad())
}

/// A tensor with the memory of `output` and a place on the tape, with a backward rule of the host's.
pub fn record(
    name: &'static str,
    output: &Tensor,
    inputs: &[&Tensor],
    rule: impl Backward,
) -> Tensor {
    output.detach().recorded(name, inputs, |_| rule)
}

/// The gradient that the pass starts from: what was given, or one for a single element.
fn seed(output: &Tensor, gradient: Option<&Tensor>) -> Result<Tensor> {
    match gradient {
        Some(g) if g.shape() == output.shape() && g.dtype() == output.dtype() => Ok(g.detach()),
        Some(g) => bail!(
            Shape,
            "backward: expected a gradient of shape {} and dtype {}, got shape {} and dtype {}",
            show(output.shape()),
            output.dtype().name(),
            show(g.shape()),
            g.dtype().name()
        ),
        None if output.count() == 1 => Tensor::ones(output.shape(), output.dtype()),
        None => bail!(
            Shape,
            "backward: a tensor of shape {} needs an explicit gradient; call it on a scalar (for example \
             .mean()) or pass gradient=",
            show(output.shape())
        ),
    }
}

/// Adds a gradient to what is already there.
fn add_to(slot: &mut Option<Tensor>, gradient: Tensor) -> Result<()> {
    *slot = Some(match slot.take() {
        None => gradient,
        Some(sum) => sum.add(&gradient)?,
    });
    Ok(())
}

/// One walk from an output backward.
struct Walk {
    /// Gradients of outputs of nodes that are still to be visited.
    pending: BTreeMap<u64, (Arc<Node>, Tensor)>,
    /// Gradients of the leaves reached so far, in that order.
    leaves: Vec<(Tensor, Option<Tensor>)>,
    /// Where in `leaves` a leaf stands.
    places: std::collections::HashMap<usize, usize>,
    /// Gradients of results that asked to keep theirs.
    retained: Vec<(Tensor, Option<Tensor>)>,
}

impl Walk {
    fn reach(&mut self, edge: &Edge, gradient: Tensor) -> Result<()> {
        match edge {
            Edge::Nowhere => Ok(()),
            Edge::Leaf(leaf) => {
                let next = self.leaves.len();
                let place = *self.places.entry(leaf.id()).or_insert(next);
                if place == next {
                    self.leaves.push((leaf.clone(), None));
                }
                add_to(&mut self.leaves[place].1, gradient)
            }
            Edge::Node(node) => {
                let entry = self.pending.remove(&node.number);
                let (node, mut slot) = match entry {
                    Some((node, sum)) => (node, Some(sum)),
                    None => (Arc::clone(node), None),
                };
                add_to(&mut slot, gradient)?;
                let sum = slot.ok_or_else(|| Error::Internal("a gradient was lost".into()))?;
                self.pending.insert(node.number, (node, sum));
                Ok(())
            }
        }
    }

    /// Visits every node; `visit` sees each node with the complete gradient of its output.
    fn run(&mut self, retain_graph: bool, mut visit: impl FnMut(&Node, &Tensor)) -> Result<()> {
        while let Some((_, (node, gradient))) = self.pending.pop_last() {
            let hooks = node.hooks.get();
            let gradient = hooks.map_or(Ok(gradient.clone()), |hooks| hooks.run(gradient))?;
            visit(&node, &gradient);
            if let Some(holder) = lock(&node.retained).as_ref().and_then(WeakTensor::upgrade) {
                self.retained.push((holder, Some(gradient.clone())));
            }
            let Some(record) = lock(&node.record).take() else {
                bail!(
                    State,
                    "backward: the graph below `{}` was already freed by an earlier backward pass; pass \
                     retain_graph=True to the first one",
                    node.name
                );
            };
            let outcome = self.propagate(node.name, &record, &gradient);
            if retain_graph || outcome.is_err() {
                *lock(&node.record) = Some(record);
            }
            outcome?;
            if let (false, Some(hooks)) = (retain_graph, hooks) {
                // They may hold the tensor they are the hooks of, and would hold it for ever.
                hooks.clear();
            }
        }
        for (leaf, gradient) in &mut self.leaves {
            if let Some(complete) = gradient.take() {
                *gradient = Some(leaf.run_hooks(complete)?);
            }
        }
        Ok(())
    }

    /// Adds the gradients found to those that are there: all of them, or in an error none.
    fn leave(gradients: impl IntoIterator<Item = (Tensor, Option<Tensor>)>) -> Result<()> {
        let mut sums = Vec::new();
        for (tensor, gradient) in gradients {
            if let Some(gradient) = gradient {
                let mut slot = tensor.grad();
                add_to(&mut slot, gradient)?;
                sums.push((tensor, slot));
            }
        }
        sums.into_iter().try_for_each(|(tensor, sum)| tensor.set_grad(sum))
    }

    fn propagate(&mut self, name: &str, record: &Record, gradient: &Tensor) -> Result<()> {
        let needs: SmallVec<[bool; 3]> =
            record.edges.iter().map(|edge| !matches!(edge, Edge::Nowhere)).collect();
        let gradients = record.rule.backward(gradient, &needs)?;
        if gradients.len() != record.edges.len() {
            let (found, inputs) = (gradients.len(), record.edges.len());
            bail!(Internal, "{name}: {found} gradients for {inputs} inputs");
        }
        for (edge, gradient) in record.edges.iter().zip(gradients) {
            if let Some(gradient) = gradient {
                self.reach(edge, gradient)?;
            }
        }
        Ok(())
    }
}

fn start(output: &Tensor, gradient: Option<&Tensor>) -> Result<Walk> {
    if !output.requires_grad() {
        bail!(
            State,
            "backward: this tensor does not require a gradient; make a leaf with requires_grad=True, and compute \
             outside no_grad()"
        );
    }
    let seed = seed(output, gradient)?;
    let mut walk = Walk {
        pending: BTreeMap::new(),
        leaves: Vec::new(),
        places: std::collections::HashMap::new(),
        retained: Vec::new(),
    };
    let edge = match output.node() {
        Some(node) => Edge::Node(Arc::clone(node)),
        None => Edge::Leaf(output.clone()),
    };
    walk.reach(&edge, seed)?;
    Ok(walk)
}

/// Back-propagates from `output` and adds each leaf's gradient to its `grad`.
///
/// Nothing is added anywhere unless the whole pass succeeds.
pub fn backward(output: &Tensor, gradient: Option<&Tensor>, retain_graph: bool) -> Result<()> {
    let _quiet = no_grad();
    let mut walk = start(output, gradient)?;
    walk.run(retain_graph, |_, _| ())?;
    Walk::leave(walk.retained.into_iter().chain(walk.leaves))
}

/// The gradients of `output` with respect to `inputs` (leaves or results), without touching any `grad`.
/// `None` stands for an input that the output does not depend on.
pub fn gradients(
    output: &Tensor,
    inputs: &[&Tensor],
    gradient: Option<&Tensor>,
    retain_graph: bool,
) -> Result<Vec<Option<Tensor>>> {
    let _quiet = no_grad();
    let mut walk = start(output, gradient)?;
    let wanted: Vec<Option<u64>> =
        inputs.iter().map(|input| input.node().map(|node| node.number)).collect();
    let mut found: Vec<Option<Tensor>> = vec![None; inputs.len()];
    walk.run(retain_graph, |node, gradient| {
        for (slot, number) in found.iter_mut().zip(&wanted) {
            if *number == Some(node.number) {
                *slot = Some(gradient.clone());
            }
        }
    })?;
    for (slot, input) in found.iter_mut().zip(inputs) {
        if let Some(&place) = walk.places.get(&input.id()) {
            slot.clone_from(&walk.leaves[place].1);
        }
    }
    Walk::leave(walk.retained)?;
    Ok(found)
}
