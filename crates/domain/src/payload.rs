//! What every payload has to be, so that each destination can be given it.

/// How deep lists and objects of a payload may be nested; each level costs whatever reads it a frame of its stack.
pub const MAX_DEPTH: usize = 512;

/// Whether a JSON text is nested at most [`MAX_DEPTH`] levels deep.
pub fn is_shallow(json: &[u8]) -> bool {
    // Each level takes two bytes at least, so most payloads need no look.
    if json.len() <= 2 * MAX_DEPTH {
        return true;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_of_a_payload_is_counted_outside_of_texts() {
        let nested = |levels: usize| format!("{}1{}", "[{\"a\":".repeat(levels / 2), "}]".repeat(levels / 2));
        assert!(is_shallow(nested(MAX_DEPTH).as_bytes()));
        assert!(!is_shallow(nested(MAX_DEPTH + 2).as_bytes()));
        let in_text = format!(r#"{{"a": "\"{}", "b": []}}"#, "[".repeat(3 * MAX_DEPTH));
        assert!(is_shallow(in_text.as_bytes()));
        let wide = format!("[{}[]]", "[],".repeat(3 * MAX_DEPTH));
        assert!(is_shallow(wide.as_bytes()));
    }
}
