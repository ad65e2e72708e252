//! Base64 in pieces (RFC 4648, 4): padding ends a group of four, and another group may follow.

/// Decodes base64 that comes in pieces of any size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decoder {
    bits: u32,
    /// Characters of the current group, padding included.
    chars: u8,
    padding: u8,
}

/// The text is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

impl Decoder {
    /// Takes one character; returns the bytes of a group that it completes.
    pub(super) fn push(&mut self, char: u8) -> Result<Option<Group>, Invalid> {
        let six = match char {
            b'A'..=b'Z' => char - b'A',
            b'a'..=b'z' => char - b'a' + 26,
            b'0'..=b'9' => char - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' if self.chars >= 2 => {
                self.padding += 1;
                0
            }
            _ => return Err(Invalid),
        };
        if self.padding > 0 && char != b'=' {
            return Err(Invalid);
        }
        self.bits = self.bits << 6 | u32::from(six);
        self.chars += 1;
        if self.chars < 4 {
            return Ok(None);
        }
        let [_, bytes @ ..] = self.bits.to_be_bytes();
        let length = 3 - usize::from(self.padding);
        *self = Self::default();
        Ok(Some(Group { bytes, length }))
    }

    /// Returns true between two groups.
    pub(super) fn is_between_groups(&self) -> bool {
        self.chars == 0
    }
}

/// One to three bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    bytes: [u8; 3],
    length: usize,
}

impl Group {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Vec<u8>, Invalid> {
        let mut decoder = Decoder::default();
        let mut bytes = Vec::new();
        for char in text.bytes() {
            if let Some(group) = decoder.push(char)? {
                bytes.extend_from_slice(group.as_slice());
            }
        }
        Ok(bytes)
    }

    #[test]
    fn groups_are_decoded_and_may_follow_padding() {
        for (text, expected) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zg==Zm8=Zm9v", b"ffofoo"),
            ("AAD/+v_-", b"\0\0\xff\xfa\xff\xfe"),
        ] {
            assert_eq!(decode(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["=", "Z===", "Zg=g", "Zm 9", "Zm\n"] {
            assert_eq!(decode(text), Err(Invalid), "{text:?}");
        }
    }
}
