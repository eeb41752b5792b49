//! A response of a request that holds a place at the door until its last byte.
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};

use super::meter::Place;

pub struct Held {
    body: Body,
    place: Option<Place>,
}

/// `body` with the place; one that has nothing more to send gives it back at once.
pub fn held(body: Body, place: Option<Place>) -> Body {
    match place {
        Some(place) if !body.is_end_stream() => Body::new(Held { body, place: Some(place) }),
        _ => body,
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.place = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What came through a wall is kept by the browser it was for, and by nobody between.
pub fn keep_private(headers: &mut HeaderMap) {
    for name in ["cdn-cache-control", "surrogate-control"] {
        headers.remove(HeaderName::from_static(name));
    }
    let said: Vec<String> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty())
        .collect();
    let named =
        |word: &str, name: &str| word.split('=').next().is_some_and(|key| key.trim().eq_ignore_ascii_case(name));
    if said.iter().any(|word| named(word, "no-store")) {
        return;
    }
    let kept = said.iter().filter(|word| !["public", "private", "s-maxage"].iter().any(|name| named(word, name)));
    let all: Vec<&str> = std::iter::once("private").chain(kept.map(String::as_str)).collect();
    if let Ok(value) = HeaderValue::from_str(&all.join(", ")) {
        headers.insert(CACHE_CONTROL, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_between_keeps_it() {
        for (said, kept) in [
            (&[][..], "private"),
            (&["public, max-age=31536000, immutable"], "private, max-age=31536000, immutable"),
            (&["Public", "s-maxage=60, max-age=5"], "private, max-age=5"),
            (&["no-cache"], "private, no-cache"),
            (&["private=\"set-cookie\", max-age=1"], "private, max-age=1"),
            (&["no-store"], "no-store"),
        ] {
            let mut headers = HeaderMap::new();
            for line in said {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
            }
            keep_private(&mut headers);
            assert_eq!(headers.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(), [kept], "{said:?}");
        }
    }
}
