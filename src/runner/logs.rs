//! An app's log and request log: kept across deploys and crashes, within a quota.
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::base::{Millis, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Out,
    Err,
    /// Steady's own remarks: started, stopped, crashed.
    Steady,
}

/// One line. `text` has secrets already replaced, and is at most 16 KiB.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// Rises by one per line of an app; where a tail resumes.
    pub seq: u64,
    pub at: Millis,
    pub stream: Stream,
    pub version: String,
    pub text: String,
}

/// One finished request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestLine {
    pub id: String,
    pub at: Millis,
    pub method: String,
    /// Path without the query string: queries carry secrets.
    pub path: String,
    pub status: u16,
    pub version: String,
    /// Microseconds waited at the gate in all; of these, spent booting the app; spent in the app until
    /// its response head; until the last byte.
    pub gate_us: u64,
    pub boot_us: u64,
    pub app_us: u64,
    pub total_us: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Which stage failed, when one did.
    pub error: Option<String>,
}

/// Handle to one app's logs. Cheap to clone.
#[derive(Clone)]
pub struct Logs {}

impl Logs {
    /// The newest `n` lines with `seq` above `after`, oldest first.
    pub fn tail(&self, _n: usize, _after: Option<u64>) -> Result<Vec<LogLine>> {
        todo!()
    }
    /// Lines from now on. A slow reader that lags is told so by the channel and reads `tail` again.
    pub fn follow(&self) -> broadcast::Receiver<LogLine> {
        todo!()
    }
    /// The newest `n` requests, newest first.
    pub fn requests(&self, _n: usize) -> Result<Vec<RequestLine>> {
        todo!()
    }
    /// Adds a remark of Steady's own.
    pub fn remark(&self, _version: &str, _text: &str) {
        todo!()
    }
}
