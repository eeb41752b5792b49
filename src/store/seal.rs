//! Secrets at rest: XChaCha20-Poly1305 with a key file of mode 0600.
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::base::fs::write_atomic;
use crate::base::secret::fill_random;
use crate::base::{DataDir, Error, Result, ResultExt as _};

/// First byte of everything sealed, so that another algorithm can be told apart later.
const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// The server's key. Never printed.
#[derive(Clone)]
pub struct Key(XChaCha20Poly1305);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Key {
    /// Reads `secret.key`, making it at the first start.
    /// Errors: `BadInput` when the file is readable by others or not 32 bytes.
    pub fn load(dir: &DataDir) -> Result<Self> {
        let path = dir.key_file();
        if let Some(bytes) = read(&path)? {
            return Ok(Self::from_bytes(&bytes));
        }
        // Two first starts at once must end with one key: whoever has the folder's lock makes it.
        let folder = File::open(dir.root()).internal("while opening the data folder")?;
        folder.lock().internal("while locking the data folder")?;
        if let Some(bytes) = read(&path)? {
            return Ok(Self::from_bytes(&bytes));
        }
        let mut bytes = [0u8; KEY_BYTES];
        fill_random(&mut bytes);
        write_atomic(&path, &bytes, 0o600).internal("while writing the key file")?;
        Ok(Self::from_bytes(&bytes))
    }

    fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(XChaCha20Poly1305::new(bytes.into()))
    }

    /// Version, nonce and ciphertext. `context` (a table and id) must be the same at [`Key::open`].
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0u8; NONCE_BYTES];
        fill_random(&mut nonce);
        let bound = bound(context);
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &bound })
            .expect("only a plaintext of more than 256 GiB cannot be sealed");
        [&[VERSION][..], &nonce, &sealed].concat()
    }

    /// Errors: `Internal` when the key is another one or the bytes were changed.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let (version, rest) = sealed.split_first().ok_or_else(|| Error::internal("a sealed secret is empty"))?;
        if *version != VERSION {
            return Err(Error::internal(format!(
                "a secret is sealed in form {version}, which this Steady cannot open"
            )));
        }
        let (nonce, ciphertext) =
            rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(|| Error::internal("a sealed secret is cut short"))?;
        let bound = bound(context);
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &bound }).map_err(|_| {
            Error::internal(format!(
                "the secret of {context} cannot be opened: secret.key is another one, or it was changed"
            ))
            .hint("Put back the secret.key that belongs to this data folder.")
        })
    }
}

/// What is authenticated beside the text: the form and the place it belongs to.
fn bound(context: &str) -> Vec<u8> {
    [&[VERSION][..], context.as_bytes()].concat()
}

/// `None` when there is no key file yet.
fn read(path: &Path) -> Result<Option<[u8; KEY_BYTES]>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => {
            return Err(Error::bad_input(format!("the key file {} cannot be read", path.display()))
                .because(e)
                .hint("Run Steady as the user who owns the data folder."));
        }
    };
    let meta = file.metadata().internal("while reading the key file")?;
    if !meta.is_file() || meta.mode() & 0o077 != 0 {
        return Err(Error::bad_input(format!("the key file {} is open to other users", path.display())).hint(format!(
            "Run `chmod 600 {}`; if somebody may have read it, set your secrets anew.",
            path.display()
        )));
    }
    let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).internal("while reading the key file")?;
    let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| {
        Error::bad_input(format!("the key file {} is not {KEY_BYTES} bytes long", path.display()))
            .hint("Put back the one that belongs to this data folder; without it sealed secrets cannot be read.")
    })?;
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::*;
    use crate::base::Kind;

    fn fixture() -> (tempfile::TempDir, DataDir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        (temp, dir)
    }

    #[test]
    fn made_once_private_and_read_back() {
        let (_temp, dir) = fixture();
        let sealed = Key::load(&dir).unwrap().seal("env 1", b"s3cret");
        assert_eq!(fs::metadata(dir.key_file()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Key::load(&dir).unwrap().open("env 1", &sealed).unwrap(), b"s3cret");
        assert_eq!(format!("{:?}", Key::load(&dir).unwrap()), "[secret]");
    }

    #[test]
    fn first_starts_at_once_get_one_key() {
        let (_temp, dir) = fixture();
        let keys: Vec<Key> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| Key::load(&dir).unwrap())).collect();
            all.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let sealed = keys[0].seal("x", b"y");
        for key in &keys {
            assert_eq!(key.open("x", &sealed).unwrap(), b"y");
        }
    }

    #[test]
    fn a_readable_or_cut_key_file_is_refused() {
        let (_temp, dir) = fixture();
        Key::load(&dir).unwrap();
        for mode in [0o640, 0o604, 0o610, 0o622] {
            fs::set_permissions(dir.key_file(), fs::Permissions::from_mode(mode)).unwrap();
            let error = Key::load(&dir).unwrap_err();
            assert_eq!(error.kind, Kind::BadInput, "{mode:o}");
            assert!(error.hint.unwrap().contains("chmod 600"));
        }
        for length in [0, 31, 33, 1000] {
            write_atomic(&dir.key_file(), &vec![1; length], 0o600).unwrap();
            assert_eq!(Key::load(&dir).unwrap_err().kind, Kind::BadInput, "{length} bytes");
        }
    }

    #[test]
    fn another_key_or_form_does_not_open() {
        let (_temp, dir) = fixture();
        let (_other_temp, other) = fixture();
        let key = Key::load(&dir).unwrap();
        let mut sealed = key.seal("env 1", b"text");
        assert_eq!(Key::load(&other).unwrap().open("env 1", &sealed).unwrap_err().kind, Kind::Internal);
        sealed[0] = 2;
        assert!(key.open("env 1", &sealed).unwrap_err().public.contains("form 2"));
    }

    proptest! {
        #[test]
        fn opens_only_unchanged_and_in_its_place(
            plain in proptest::collection::vec(any::<u8>(), 0..200),
            context in "[a-z]{1,8} [0-9]{1,4}",
            other in "[a-z]{1,8} [0-9]{1,4}",
            at in any::<prop::sample::Index>(),
            flip in 1..=255u8,
        ) {
            let key = Key::from_bytes(&[7; KEY_BYTES]);
            let sealed = key.seal(&context, &plain);
            prop_assert_eq!(key.open(&context, &sealed).unwrap(), plain.clone());
            prop_assert_ne!(key.seal(&context, &plain), sealed.clone(), "a nonce is never used twice");
            if other != context {
                prop_assert!(key.open(&other, &sealed).is_err());
            }
            let mut changed = sealed.clone();
            let place = at.index(changed.len());
            changed[place] ^= flip;
            prop_assert!(key.open(&context, &changed).is_err());
            prop_assert!(key.open(&context, &sealed[..place]).is_err());
        }
    }
}
