//! Random bytes from the operating system, and the ids, codes and keys that are derived from them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Reads `N` bytes from the operating system's random number generator.
///
/// Aborts the process if the generator fails: no key or token could be kept secret from then on.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut buffer = [0; N];
    if let Err(error) = getrandom::fill(&mut buffer) {
        tracing::error!(%error, "the operating system's random number generator failed");
        std::process::abort();
    }
    buffer
}

/// Encodes `N` random bytes as base64url without padding, for ids and secrets that are sent as text.
pub fn text<const N: usize>() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<N>())
}

/// Draws `length` characters uniformly from `alphabet`, which is 1 to 256 bytes of ASCII.
pub fn code(length: usize, alphabet: &[u8]) -> String {
    let size = alphabet.len();
    let unbiased = 256 - 256 % size;
    let mut code = String::with_capacity(length);
    while code.len() < length {
        for byte in bytes::<32>() {
            let draw = usize::from(byte);
            // Bytes from the last whole multiple of `size` on would favour the first characters.
            if draw < unbiased
                && code.len() < length
                && let Some(character) = alphabet.get(draw % size)
            {
                code.push(char::from(*character));
            }
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_draws_from_whole_alphabet_only() {
        let drawn = code(4000, b"0123456789");
        assert_eq!(drawn.len(), 4000);
        for digit in '0'..='9' {
            assert!(drawn.contains(digit), "{digit} was never drawn");
        }
        assert!(drawn.bytes().all(|b| b.is_ascii_digit()));
    }
}
