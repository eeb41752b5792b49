//! Copies of an app's data at moments: pages that changed, chunks of other files, and how they are put together again.
//! Files only; when one is taken, kept and brought back is `apps`' business.
pub mod chain;
pub mod keep;
pub mod ltx;
pub mod manifest;
pub mod policy;
pub mod put;
pub mod scan;
pub mod sums;
pub mod take;

/// The list in a job's folder.
const MANIFEST: &str = "manifest.json";
/// Bytes of a chunk.
const CHUNK: u64 = 1 << 20;

#[cfg(test)]
mod tests;
