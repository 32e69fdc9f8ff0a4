//! Random bytes from the operating system, and what is made of them: ids, codes, keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` bytes from the operating system's generator.
///
/// Ends the process when the kernel has none to give: nothing that follows could be kept secret.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut buffer = [0; N];
    if let Err(error) = getrandom::fill(&mut buffer) {
        tracing::error!(%error, "the operating system gives no random bytes");
        std::process::abort();
    }
    buffer
}

/// `N` random bytes as base64url without padding, for ids and secrets that travel as text.
pub fn text<const N: usize>() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<N>())
}

/// `length` characters drawn evenly from `alphabet` (at most 256 bytes of ASCII).
pub fn code(length: usize, alphabet: &[u8]) -> String {
    let size = alphabet.len();
    let fair = 256 - 256 % size;
    let mut code = String::with_capacity(length);
    while code.len() < length {
        for byte in bytes::<32>() {
            let draw = usize::from(byte);
            // Bytes above the last whole multiple would favour the first characters.
            if draw < fair
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
    fn codes_use_the_whole_alphabet_and_nothing_else() {
        let drawn = code(4000, b"0123456789");
        assert_eq!(drawn.len(), 4000);
        for digit in '0'..='9' {
            assert!(drawn.contains(digit), "{digit} was never drawn");
        }
        assert!(drawn.bytes().all(|b| b.is_ascii_digit()));
    }
}
