//! Secrets at rest: XChaCha20-Poly1305 with a key file of mode 0600.
use crate::base::{DataDir, Result};

/// The server's key. Never printed.
#[derive(Clone)]
pub struct Key {}

impl Key {
    /// Reads `secret.key`, making it at the first start.
    /// Errors: `BadInput` when the file is readable by others or not 32 bytes.
    pub fn load(_dir: &DataDir) -> Result<Self> {
        todo!()
    }
    /// Nonce and ciphertext. `context` (a table and id) must be the same at [`Key::open`].
    pub fn seal(&self, _context: &str, _plain: &[u8]) -> Vec<u8> {
        todo!()
    }
    /// Errors: `Internal` when the key is another one or the bytes were changed.
    pub fn open(&self, _context: &str, _sealed: &[u8]) -> Result<Vec<u8>> {
        todo!()
    }
}
