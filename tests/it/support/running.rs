//! The server's process: started by the test, or by the server before it.
use std::process::Child;
use std::time::{Duration, Instant};

use super::{PATIENCE, procs, signal};

pub enum Running {
    Child(Child),
    /// No child of the test: how it ended cannot be known.
    Heir(procs::Proc),
}

impl Running {
    pub fn id(&self) -> u32 {
        match self {
            Self::Child(child) => child.id(),
            Self::Heir(heir) => heir.pid,
        }
    }

    /// Waits for the end; whether it was a success, as far as that can be known. `None` when it does not come.
    pub fn ended(&mut self) -> Option<bool> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self {
                Self::Child(child) => {
                    if let Some(status) = child.try_wait().expect("wait") {
                        return Some(status.success());
                    }
                }
                Self::Heir(heir) if procs::alive(std::slice::from_ref(heir)).is_empty() => return Some(true),
                Self::Heir(_) => {}
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub fn kill(&mut self) {
        signal(self.id(), "KILL");
        self.ended().expect("a killed process ends");
    }
}
