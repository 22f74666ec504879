//! The limit of every payload, so that each destination can get it.

/// The maximum depth of nested lists and objects in a payload. Each level costs a reader one stack frame.
pub const MAX_DEPTH: usize = 512;

/// Whether a JSON text is nested at most [`MAX_DEPTH`] levels deep.
pub fn is_shallow(json: &[u8]) -> bool {
    // Each level takes at least two bytes, so most payloads need no scan.
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
    fn brackets_in_texts_do_not_count_as_depth() {
        let nested = |levels: usize| format!("{}1{}", "[{\"a\":".repeat(levels / 2), "}]".repeat(levels / 2));
        assert!(is_shallow(nested(MAX_DEPTH).as_bytes()));
        assert!(!is_shallow(nested(MAX_DEPTH + 2).as_bytes()));
        let in_text = format!(r#"{{"a": "\"{}", "b": []}}"#, "[".repeat(3 * MAX_DEPTH));
        assert!(is_shallow(in_text.as_bytes()));
        let wide = format!("[{}[]]", "[],".repeat(3 * MAX_DEPTH));
        assert!(is_shallow(wide.as_bytes()));
    }
}
