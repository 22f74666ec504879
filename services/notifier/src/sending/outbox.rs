//! The outbox: a folder into which mails are written as files if no mail server is configured.

use std::{fs, io, path::Path};

use domain::NoticeId;

/// The maximum number of bytes of a recipient in a file name. With the notice and the extensions, the name stays below
/// the 255 bytes that file systems allow.
const MAX_RECIPIENT: usize = 100;

/// Writes a mail. The name of its file consists of the notice and the recipient, so a repeated write makes no second
/// file.
pub(crate) fn write(folder: &Path, notice: NoticeId, recipient: &str, mail: &[u8]) -> io::Result<()> {
    let name = name(notice, recipient);
    let unfinished = folder.join(format!(".{name}.part"));
    fs::write(&unfinished, mail)?;
    fs::rename(unfinished, folder.join(format!("{name}.eml")))
}

/// Removes the mails about a notice.
pub(crate) fn remove(folder: &Path, notice: NoticeId) -> io::Result<()> {
    let notice = notice.to_string();
    for file in fs::read_dir(folder)? {
        let file = file?;
        if file.file_name().to_str().is_some_and(|name| name.trim_start_matches('.').starts_with(&notice)) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

fn name(notice: NoticeId, recipient: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "@.-_+".contains(c) { c } else { '_' };
    let person: String = recipient.chars().map(safe).collect();
    if person.len() <= MAX_RECIPIENT {
        return format!("{notice}-{person}");
    }
    // The digits are computed from the whole recipient, so cut names stay different.
    let copy = notice.copy_for(recipient);
    let digits = copy.rsplit('.').next().unwrap_or_default();
    format!("{notice}-{}-{digits}", &person[..MAX_RECIPIENT])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_addresses_have_separate_files_that_can_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let notice = NoticeId::from_uuid(uuid::Uuid::nil());
        let long = |end: char| format!("{}@{}.{end}", "o".repeat(64), vec!["a".repeat(61); 3].join("."));
        let recipients = [long('a'), long('b'), "a@b.example".to_owned()];
        for recipient in recipients.iter().chain(&recipients) {
            assert!(domain::registry::check_email(recipient).is_ok(), "{recipient}");
            write(folder.path(), notice, recipient, recipient.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), recipients.len());
        remove(folder.path(), notice).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
