//! Where a long act says what it is doing. One sink serves the editor's stream, a push's `remote:`
//! lines and the CLI alike.
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One thing said while an act runs. Text may come from an app's build: it is untrusted, and each
/// face cleans it for its own medium.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ProgressEvent {
    /// A stage began (`install`, `check`, …).
    Stage { name: String },
    /// The stage that began last is over.
    Done { name: String, ms: u64 },
    /// A line of output or explanation.
    Line { text: String },
}

/// Cheap to clone; may be called from any thread; never blocks for long.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(ProgressEvent) + Send + Sync>);

impl Progress {
    pub fn new(sink: impl Fn(ProgressEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }
    /// Nobody listens.
    pub fn silent() -> Self {
        Self::new(|_| ())
    }
    pub fn emit(&self, event: ProgressEvent) {
        (self.0)(event);
    }
    pub fn line(&self, text: impl Into<String>) {
        self.emit(ProgressEvent::Line { text: text.into() });
    }
    pub fn stage(&self, name: &str) {
        self.emit(ProgressEvent::Stage { name: name.to_owned() });
    }
    pub fn done(&self, name: &str, ms: u64) {
        self.emit(ProgressEvent::Done { name: name.to_owned(), ms });
    }
}
