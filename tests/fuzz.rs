//! What must hold for any bytes from strangers (`fuzz/src`), tried with whole ones bent at random, in every run.
//! `./dev fuzz NAME` looks further, guided by coverage; `PROPTEST_CASES=100000 cargo test --test fuzz` for longer.
#[path = "../fuzz/src/lib.rs"]
mod readers;

use std::path::Path;

use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Bend {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Cut(usize, usize),
    Repeat(usize, usize),
}

fn bends() -> impl Strategy<Value = Vec<Bend>> {
    let place = 0usize..600;
    prop::collection::vec(
        prop_oneof![
            (place.clone(), any::<u8>()).prop_map(|(at, byte)| Bend::Set(at, byte)),
            (place.clone(), prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(at, bytes)| Bend::Insert(at, bytes)),
            (place.clone(), 1usize..20).prop_map(|(at, length)| Bend::Cut(at, length)),
            (place, 1usize..60).prop_map(|(at, length)| Bend::Repeat(at, length)),
        ],
        0..6,
    )
}

fn bent(mut bytes: Vec<u8>, bends: &[Bend]) -> Vec<u8> {
    for bend in bends {
        let within = |at: usize| at % (bytes.len() + 1);
        match bend {
            Bend::Set(at, byte) => {
                let at = within(*at);
                if let Some(place) = bytes.get_mut(at) {
                    *place = *byte;
                }
            }
            Bend::Insert(at, more) => {
                let at = within(*at);
                bytes.splice(at..at, more.iter().copied());
            }
            Bend::Cut(at, length) => {
                let at = within(*at);
                let end = (at + length).min(bytes.len());
                bytes.drain(at..end);
            }
            Bend::Repeat(at, length) => {
                let at = within(*at);
                let end = (at + length).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
        }
    }
    bytes
}

/// One of the seeds, which are whole, bent; now and then anything at all.
fn like(reader: &str) -> impl Strategy<Value = Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(reader);
    let files = std::fs::read_dir(&folder).expect("seeds").map(|file| file.expect("a seed").path());
    let seeds: Vec<Vec<u8>> = files.map(|path| std::fs::read(path).expect("a seed")).collect();
    let bend = (prop::sample::select(seeds), bends()).prop_map(|(seed, bends)| bent(seed, &bends));
    prop_oneof![9 => bend, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn pieces_change_nothing_for_the_wire(bytes in like("request")) {
        readers::wire(&bytes);
    }

    #[test]
    fn a_request_head_is_rewritten_once(bytes in like("request")) {
        readers::request(&bytes);
    }

    #[test]
    fn a_response_head_is_rewritten_once(bytes in like("response")) {
        readers::response(&bytes);
    }

    #[test]
    fn a_host_has_one_form(bytes in like("host")) {
        readers::host(&bytes);
    }

    #[test]
    fn packets_read_as_they_are_written(bytes in like("pktline")) {
        readers::pktline(&bytes);
    }

    #[test]
    fn a_pack_has_room_for_its_objects(bytes in like("pack")) {
        readers::pack(&bytes);
    }

    #[test]
    fn a_manifest_is_read_or_refused(bytes in like("manifest")) {
        readers::manifest(&bytes);
    }

    #[test]
    fn a_dns_packet_has_its_own_reply(bytes in like("dns")) {
        readers::dns(&bytes);
    }
}
