//! The PROXY protocol, versions 1 and 2: what a proxy puts before a connection's first byte, so that the server knows
//! whom the connection is from.
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// For the whole of it to arrive. A proxy sends it together with its first packet.
pub(super) const IN_TIME: Duration = Duration::from_secs(5);
/// Bytes; the text form has at most this.
const LONGEST_TEXT: usize = 107;
/// Bytes after the fixed part of the binary form: addresses, and what else a proxy says (TLVs, which are not read).
const LONGEST_REST: usize = 4096;
/// Bytes before that part: signature, command, family, length.
const FIXED: usize = 16;

/// Takes exactly the header off a connection that a trusted proxy at `peer` made. Who is behind it, or `peer` itself
/// where the proxy speaks for nobody else (its own checks, other kinds of sockets).
/// Errors: `InvalidData` for what is no header, `TimedOut`, and what reading may meet. The connection is to be closed.
pub(super) async fn client(
    stream: &mut (impl AsyncRead + Unpin),
    peer: SocketAddr,
    in_time: Duration,
) -> io::Result<SocketAddr> {
    let header = tokio::time::timeout(in_time, read(stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    parse(&header, peer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a PROXY header"))
}

/// Never one byte more than the header: what follows it is another's to read.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    // Every header of either form has at least as many.
    let mut header = vec![0; v2::PROTOCOL_PREFIX.len()];
    stream.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        header.resize(FIXED, 0);
        stream.read_exact(&mut header[v2::PROTOCOL_PREFIX.len()..]).await?;
        let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
        if rest > LONGEST_REST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a PROXY header that is too long"));
        }
        header.resize(FIXED + rest, 0);
        stream.read_exact(&mut header[FIXED..]).await?;
        return Ok(header);
    }
    while header.last() != Some(&b'\n') {
        if header.len() == LONGEST_TEXT || !header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a PROXY header"));
        }
        header.push(stream.read_u8().await?);
    }
    Ok(header)
}

/// `None` for what is not exactly one header.
fn parse(header: &[u8], peer: SocketAddr) -> Option<SocketAddr> {
    let at = |ip: IpAddr, port: u16| SocketAddr::new(ip.to_canonical(), port);
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(found)) if found.header.len() == header.len() => Some(match found.addresses {
            v1::Addresses::Tcp4(from) => at(from.source_address.into(), from.source_port),
            v1::Addresses::Tcp6(from) => at(from.source_address.into(), from.source_port),
            v1::Addresses::Unknown => peer,
        }),
        HeaderResult::V2(Ok(found)) if found.header.len() == header.len() => Some(match found.addresses {
            _ if found.command == v2::Command::Local || found.protocol != v2::Protocol::Stream => peer,
            v2::Addresses::IPv4(from) => at(from.source_address.into(), from.source_port),
            v2::Addresses::IPv6(from) => at(from.source_address.into(), from.source_port),
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => peer,
        }),
        HeaderResult::V1(_) | HeaderResult::V2(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PEER: &str = "127.0.0.1:9";

    /// What is understood, and what is left for the next reader.
    fn take(bytes: &[u8]) -> (Result<String, io::ErrorKind>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut rest = bytes;
        let found = runtime.block_on(client(&mut rest, PEER.parse().unwrap(), IN_TIME));
        (found.map(|client| client.to_string()).map_err(|error| error.kind()), rest.len())
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[0x20 | command, family], &length, rest].concat()
    }

    #[test]
    fn headers_and_whom_they_name() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
        let mut six = [0; 36];
        six[..2].copy_from_slice(&[0x20, 0x01]);
        six[32..34].copy_from_slice(&[0, 7]);
        let mapped = [&[0; 10][..], &[255, 255, 192, 0, 2, 1], &[0; 16], &[0, 7, 0, 80]].concat();
        let more = [&four[..], &[4, 0, 1, 0]].concat();
        let text = |text: &str| text.as_bytes().to_vec();
        for (header, client) in [
            (text("PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n"), "192.0.2.1:4660"),
            (text("PROXY TCP6 2001:db8::1 ::1 7 80\r\n"), "[2001:db8::1]:7"),
            (text("PROXY UNKNOWN\r\n"), PEER),
            (text("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), PEER),
            (binary(1, 0x11, &four), "192.0.2.1:4660"),
            (binary(1, 0x11, &more), "192.0.2.1:4660"),
            (binary(1, 0x21, &six), "[2001::]:7"),
            (binary(1, 0x21, &mapped), "192.0.2.1:7"),
            (binary(0, 0x11, &four), PEER),
            (binary(0, 0x00, &[]), PEER),
            (binary(1, 0x00, &[]), PEER),
            (binary(1, 0x31, &[b'x'; 216]), PEER),
            (binary(1, 0x12, &four), PEER),
        ] {
            let shown = String::from_utf8_lossy(&header).into_owned();
            let request = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(take(&request), (Ok(client.to_owned()), 16), "{shown}");
            for end in 0..header.len() {
                assert!(take(&header[..end]).0.is_err(), "{shown} up to {end}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for bytes in [
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00".to_vec(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 99999 80\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 1 1\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1  10.0.0.1 1 1\r\n".to_vec(),
            b"proxy TCP4 192.0.2.1 10.0.0.1 1 1\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 10.0.0.1 1 1\r\n".to_vec(),
            long.into_bytes(),
            binary(2, 0x11, &[0; 12]),
            binary(1, 0x41, &[0; 12]),
            binary(1, 0x11, &[0; 4]),
            binary(1, 0x11, &[0; LONGEST_REST + 1]),
        ] {
            assert_eq!(take(&bytes).0, Err(io::ErrorKind::InvalidData), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[tokio::test]
    async fn who_says_nothing_is_let_go() {
        let (mut ours, _theirs) = tokio::io::duplex(64);
        let error = client(&mut ours, PEER.parse().unwrap(), Duration::from_millis(5)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), form in 0..3u8) {
            let start: &[u8] = match form { 0 => b"", 1 => b"PROXY TCP4 ", _ => v2::PROTOCOL_PREFIX };
            let _ = take(&[start, &bytes].concat());
        }

        #[test]
        fn what_is_written_is_read(ip: [u8; 4], port: u16, rest in proptest::collection::vec(any::<u8>(), 0..50)) {
            let ip = std::net::Ipv4Addr::from(ip);
            let header = format!("PROXY TCP4 {ip} 10.0.0.1 {port} 80\r\n");
            let expected = (Ok(format!("{ip}:{port}")), rest.len());
            prop_assert_eq!(take(&[header.as_bytes(), &rest].concat()), expected.clone());
            let addresses = [&ip.octets()[..], &[10, 0, 0, 1], &port.to_be_bytes(), &[0, 80]].concat();
            prop_assert_eq!(take(&[&binary(1, 0x11, &addresses), &rest[..]].concat()), expected);
        }
    }
}
