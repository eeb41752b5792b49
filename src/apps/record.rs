//! The record of one deploy while it runs: stages timed, told to whoever asked, kept with the row.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::view::Stage;
use crate::base::{Clock, Progress};

/// Cheap to clone; all clones write one list.
#[derive(Clone)]
pub(super) struct Recorder {
    progress: Progress,
    stages: Arc<Mutex<Vec<Stage>>>,
}

impl Recorder {
    pub(super) fn new(progress: Progress) -> Self {
        Self { progress, stages: Arc::default() }
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Begins a stage; it ends when the value is dropped.
    pub(super) fn stage(&self, name: &'static str) -> Running<'_> {
        self.progress.stage(name);
        Running { recorder: self, name, since: Clock::stopwatch() }
    }

    pub(super) fn stages_json(&self) -> String {
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_string(&*stages).unwrap_or_else(|_| "[]".into())
    }

    /// The stage that ended last: where a failure happened.
    pub(super) fn last_stage(&self) -> Option<String> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).last().map(|s| s.name.clone())
    }
}

pub(super) struct Running<'a> {
    recorder: &'a Recorder,
    name: &'static str,
    since: Instant,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.recorder
            .stages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Stage { name: self.name.to_owned(), ms });
        self.recorder.progress.done(self.name, ms);
    }
}
