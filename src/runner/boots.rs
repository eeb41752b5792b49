//! How long an app's last starts took, part by part: in memory alone, since the figures of another run of the server
//! say little of this one.
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::base::Millis;

/// Starts remembered per app.
const KEPT: usize = 20;

/// One start that came up. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// When it was ready.
    pub at: Millis,
    /// It became a process that waited; else one was started for it.
    pub waited: bool,
    /// It loaded one file with all its code; else its source.
    pub bundled: bool,
    /// Its home was looked at: quota, image.
    pub data_us: u64,
    /// Until the process is the app's: taken, and its folders mounted; or made, and its walls put up.
    pub process_us: u64,
    /// Until it listens: its code is loaded, and Bun started where none waited.
    pub load_us: u64,
    /// From its first request to the beginning of the answer; `None`: there was none yet.
    pub answer_us: Option<u64>,
}

impl Boot {
    /// From the wish to the socket.
    pub fn total_us(&self) -> u64 {
        self.data_us + self.process_us + self.load_us
    }
}

/// Where a child's first answer is noted; 0: not yet.
pub type FirstAnswer = Arc<AtomicU64>;

#[derive(Default)]
pub struct Boots(VecDeque<(Boot, FirstAnswer)>);

impl Boots {
    pub fn add(&mut self, boot: Boot, first: FirstAnswer) {
        self.0.push_back((boot, first));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The newest last.
    pub fn all(&self) -> Vec<Boot> {
        let answered = |first: &FirstAnswer| Some(first.load(Ordering::Relaxed)).filter(|us| *us != 0);
        self.0.iter().map(|(boot, first)| Boot { answer_us: answered(first), ..*boot }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_are_kept_and_an_answer_may_come_later() {
        let boot =
            |at| Boot { at, waited: true, bundled: true, data_us: 1, process_us: 2, load_us: 3, answer_us: None };
        let mut boots = Boots::default();
        let first = FirstAnswer::default();
        for at in 0..30 {
            boots.add(boot(at), first.clone());
        }
        let all = boots.all();
        assert_eq!((all.len(), all[0].at, all[19].at, all[19].total_us()), (20, 10, 29, 6));
        assert_eq!(all[19].answer_us, None);
        first.store(7, Ordering::Relaxed);
        assert_eq!(boots.all()[19].answer_us, Some(7));
    }
}
