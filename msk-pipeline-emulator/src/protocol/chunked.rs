//! `aws-chunked` bodies, signed or not, with their trailers.

use bytes::{Bytes, BytesMut};

/// A decoded body and the trailers behind it, names in lower case.
pub struct Decoded {
    /// The content.
    pub body: Bytes,
    /// The trailers, without the signature.
    pub trailers: Vec<(String, String)>,
}

/// Decodes `body`; `None` if it is cut short or not in that encoding.
pub fn decode(body: &Bytes) -> Option<Decoded> {
    let mut out = BytesMut::new();
    let mut at = 0;
    loop {
        let (line, next) = line(body, at)?;
        let size = line.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        at = next;
        if size == 0 {
            break;
        }
        out.extend_from_slice(body.get(at..at.checked_add(size)?)?);
        at += size;
        if body.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    let mut trailers = Vec::new();
    while let Some((line, next)) = line(body, at) {
        at = next;
        if let Some((name, value)) = line.split_once(':') {
            let name = name.trim().to_ascii_lowercase();
            if name != "x-amz-trailer-signature" {
                trailers.push((name, value.trim().to_owned()));
            }
        }
    }
    Some(Decoded { body: out.freeze(), trailers })
}

fn line(body: &Bytes, at: usize) -> Option<(&str, usize)> {
    let rest = body.get(at..)?;
    let end = rest.windows(2).position(|w| w == b"\r\n")?;
    Some((std::str::from_utf8(&rest[..end]).ok()?, at + end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_and_unsigned_chunks_with_trailers() {
        let signed = "5;chunk-signature=ab\r\nhello\r\n1;chunk-signature=cd\r\n!\r\n0;chunk-signature=ef\r\n\
                      x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:0123\r\n\r\n";
        let unsigned = "6\r\nhello!\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        for text in [signed, unsigned] {
            let d = decode(&Bytes::from_static(text.as_bytes())).expect("well-formed");
            assert_eq!(&d.body[..], b"hello!");
            assert_eq!(d.trailers, [("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned())]);
        }
    }

    #[test]
    fn a_cut_body_is_refused() {
        assert!(decode(&Bytes::from_static(b"5\r\nhel")).is_none());
        assert!(decode(&Bytes::from_static(b"zz\r\nhel")).is_none());
        assert!(decode(&Bytes::from_static(b"FFFFFFFFFFFFFFFF\r\nhel")).is_none());
    }
}
