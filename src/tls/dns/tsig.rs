//! Signing a DNS message (TSIG, RFC 8945). By hand: hickory-proto has it only together with all of DNSSEC, which would
//! then also be parsed in the packets of apps.
use ring::hmac;

use super::super::options::Algorithm;
use crate::base::Secret;

const TSIG: u16 = 250;
const ANY: u16 = 255;
/// Seconds that the clocks may differ.
const FUDGE: u16 = 300;

pub(super) struct Signer {
    key_name: String,
    algorithm: &'static str,
    key: hmac::Key,
}

impl Signer {
    pub fn new(key_name: String, algorithm: Algorithm, key: &Secret<Vec<u8>>) -> Self {
        let (name, kind) = match algorithm {
            Algorithm::HmacSha256 => ("hmac-sha256", hmac::HMAC_SHA256),
            Algorithm::HmacSha384 => ("hmac-sha384", hmac::HMAC_SHA384),
            Algorithm::HmacSha512 => ("hmac-sha512", hmac::HMAC_SHA512),
        };
        // The key is exposed to sign with.
        Self { key_name, algorithm: name, key: hmac::Key::new(kind, key.expose()) }
    }

    /// The message with its signature added. `seconds` is the time now.
    pub fn sign(&self, mut message: Vec<u8>, seconds: u64) -> Vec<u8> {
        let (name, algorithm) = (wire(&self.key_name), wire(self.algorithm));
        // 48 bits.
        let time = &seconds.to_be_bytes()[2..];
        let no_error_and_nothing_else = [0; 4];
        let mut signed = message.clone();
        signed.extend(&name);
        signed.extend(ANY.to_be_bytes());
        signed.extend([0; 4]);
        for part in [&algorithm[..], time, &FUDGE.to_be_bytes(), &no_error_and_nothing_else] {
            signed.extend(part);
        }
        let mac = hmac::sign(&self.key, &signed);
        let mac = mac.as_ref();
        let id = message[..2].to_vec();
        let length = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
        let mut data: Vec<u8> = Vec::new();
        for part in
            [&algorithm[..], time, &FUDGE.to_be_bytes(), &length(mac.len()), mac, &id, &no_error_and_nothing_else]
        {
            data.extend(part);
        }
        message.extend(&name);
        message.extend(TSIG.to_be_bytes());
        message.extend(ANY.to_be_bytes());
        message.extend([0; 4]);
        message.extend(length(data.len()));
        message.extend(data);
        let additional = u16::from_be_bytes([message[10], message[11]]).wrapping_add(1);
        message[10..12].copy_from_slice(&additional.to_be_bytes());
        message
    }
}

/// A name as bytes: lower case, never compressed.
fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.to_ascii_lowercase().split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.push(label.len() as u8);
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_on_the_wire() {
        assert_eq!(wire("Ab.c."), b"\x02ab\x01c\0");
        assert_eq!(wire(""), b"\0");
    }

    /// Name, type, class, time to live, length; then the algorithm, the time, the MAC and the message's number. That it
    /// is the right MAC is knot's to say: tests/tls/dns.rs.
    #[test]
    fn the_signature_is_one_more_record() {
        let message = [&[7, 9][..], &[0; 10]].concat();
        let signer = Signer::new("Key.example".to_owned(), Algorithm::HmacSha512, &Secret::new(b"secret".to_vec()));
        let signed = signer.sign(message.clone(), 0x0102_0304_0506);
        assert_eq!(signed[10..12], [0, 1]);
        let record = &signed[message.len()..];
        let data = 13 + 6 + 2 + 2 + 64 + 2 + 4;
        let head = [b"\x03key\x07example\0\x00\xfa\x00\xff\0\0\0\0\0".as_slice(), &[data]].concat();
        assert_eq!(record[..head.len()], head);
        let rest = &record[head.len()..];
        assert_eq!(rest.len(), usize::from(data));
        assert_eq!(rest[..23], *b"\x0bhmac-sha512\0\x01\x02\x03\x04\x05\x06\x01\x2c\0\x40");
        assert_eq!(rest[23 + 64..], [7, 9, 0, 0, 0, 0]);
    }
}
