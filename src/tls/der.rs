//! Just enough DER to ask a responder and read what it says.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BITS: u8 = 0x03;
pub(super) const BYTES: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OID: u8 = 0x06;
pub(super) const ENUM: u8 = 0x0a;
pub(super) const TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;

/// What is left to read. Nothing is copied.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next value: its tag, its content, and all of it.
    pub fn any(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            short @ 0..=0x7f => usize::from(short),
            long @ 0x81..=0x83 => {
                let (bytes, after) = rest.split_at_checked(usize::from(long - 0x80))?;
                rest = after;
                bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some((tag, content, whole))
    }

    /// The content of the next value, if it has that tag.
    pub fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = *self;
        match self.any() {
            Some((found, content, _)) if found == tag => Some(content),
            _ => {
                *self = before;
                None
            }
        }
    }

    /// The same, to be read further.
    pub fn inside(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }
}

/// A value.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let bytes = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1)..];
    let mut out = vec![tag];
    if length > 0x7f {
        out.push(0x80 | bytes.len() as u8);
    }
    out.extend(bytes);
    parts.iter().for_each(|part| out.extend(*part));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in any::<u8>(), content in proptest::collection::vec(any::<u8>(), 0..700), after in proptest::collection::vec(any::<u8>(), 0..5)) {
            let mut whole = value(tag, &[&content]);
            let length = whole.len();
            whole.extend(&after);
            let mut reader = Reader(&whole);
            prop_assert_eq!(reader.take(tag.wrapping_add(1)), None);
            prop_assert_eq!(reader.any(), Some((tag, &content[..], &whole[..length])));
            prop_assert_eq!(reader.0, &after[..]);
        }

        #[test]
        fn anything_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader(&bytes);
            while reader.any().is_some() {}
        }
    }
}
