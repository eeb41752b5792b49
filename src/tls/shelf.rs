//! The certificates at hand, by host: one atomic load and one or two look-ups per handshake.
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls::sign::CertifiedKey;

#[derive(Default)]
pub(super) struct Shelf(ArcSwap<HashMap<Box<str>, Arc<CertifiedKey>>>);

impl Shelf {
    pub fn new(all: HashMap<Box<str>, Arc<CertifiedKey>>) -> Self {
        Self(ArcSwap::from_pointee(all))
    }

    /// The host's own, else the wildcard for it.
    pub fn find(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let all = self.0.load();
        if host.bytes().any(|b| b.is_ascii_uppercase()) {
            return look(&all, &host.to_ascii_lowercase());
        }
        look(&all, host)
    }

    /// Changes are rare, and readers must not wait for them: the whole table is copied.
    pub fn put(&self, host: &str, certified: &Arc<CertifiedKey>) {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.insert(host.into(), certified.clone());
            all
        });
    }

    pub fn remove(&self, host: &str) {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.remove(host);
            all
        });
    }
}

fn look(all: &HashMap<Box<str>, Arc<CertifiedKey>>, host: &str) -> Option<Arc<CertifiedKey>> {
    if let Some(own) = all.get(host) {
        return Some(own.clone());
    }
    // `*.rest` without building it on the heap: names are at most 253 bytes.
    let at = host.find('.')?;
    let mut name = [0u8; 256];
    let rest = &host.as_bytes()[at..];
    let name = name.get_mut(..=rest.len())?;
    name[0] = b'*';
    name[1..].copy_from_slice(rest);
    all.get(std::str::from_utf8(name).ok()?).cloned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pair::{self, tests::make};
    use super::*;

    fn some() -> Arc<CertifiedKey> {
        let (pem, key) = make(&["a.example"], 0, 1000);
        Arc::new(pair::certified(pair::chain(pem.as_bytes()).unwrap(), &key).unwrap())
    }

    #[test]
    fn exact_before_wildcard_and_a_wildcard_is_one_label() {
        let shelf = Shelf::default();
        let (own, wild) = (some(), some());
        shelf.put("a.example.org", &own);
        shelf.put("*.example.org", &wild);
        let same = |found: Option<Arc<CertifiedKey>>, right: &Arc<CertifiedKey>| Arc::ptr_eq(&found.unwrap(), right);
        assert!(same(shelf.find("A.example.org"), &own));
        assert!(same(shelf.find("b.example.ORG"), &wild));
        assert!(shelf.find("x.b.example.org").is_none() && shelf.find("example.org").is_none());
        shelf.remove("a.example.org");
        assert!(same(shelf.find("a.example.org"), &wild));
    }

    proptest! {
        #[test]
        fn no_name_is_too_odd(host in ".{0,400}") {
            let shelf = Shelf::default();
            prop_assert!(shelf.find(&host).is_none());
        }
    }
}
