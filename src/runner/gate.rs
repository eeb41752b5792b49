//! Where requests wait for their app: bounded in number here, in time by the caller.
use std::collections::BTreeMap;

use tokio::sync::oneshot;

/// Who waits. Lives inside the app's lock; `T` is the answer.
#[derive(Debug)]
pub struct Gate<T> {
    waiting: BTreeMap<u64, oneshot::Sender<T>>,
    next: u64,
    max: usize,
}

impl<T> Gate<T> {
    pub fn new(max: usize) -> Self {
        Self { waiting: BTreeMap::new(), next: 0, max }
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A place in the queue, or `None` when it is full. Whoever gives up calls [`Gate::leave`].
    pub fn enter(&mut self) -> Option<(u64, oneshot::Receiver<T>)> {
        if self.waiting.len() >= self.max {
            return None;
        }
        let (answer, wait) = oneshot::channel();
        self.next += 1;
        self.waiting.insert(self.next, answer);
        Some((self.next, wait))
    }

    pub fn leave(&mut self, ticket: u64) {
        self.waiting.remove(&ticket);
    }

    /// Answers all, first come first.
    pub fn answer(&mut self, mut with: impl FnMut() -> T) {
        for (_, waiter) in std::mem::take(&mut self.waiting) {
            // One who gave up meanwhile drops its answer, and with it the lease inside.
            let _ = waiter.send(with());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waiters_never_leak(acts in prop::collection::vec(0u8..4, 0..100), max in 1usize..8) {
            let mut gate = Gate::new(max);
            let mut held = Vec::new();
            for act in acts {
                match act {
                    0 | 1 => {
                        let full = gate.waiting.len() == max;
                        let place = gate.enter();
                        prop_assert_eq!(place.is_none(), full);
                        held.extend(place);
                    }
                    2 => {
                        if let Some((ticket, _)) = held.pop() {
                            gate.leave(ticket);
                        }
                    }
                    _ => {
                        gate.answer(|| 7);
                        for (_, mut wait) in held.drain(..) {
                            prop_assert_eq!(wait.try_recv(), Ok(7));
                        }
                    }
                }
                prop_assert_eq!(gate.waiting.len(), held.len());
            }
        }
    }
}
