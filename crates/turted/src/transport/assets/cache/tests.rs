//! Files on a real disk: which are served, how often they are read, and what is forgotten.

use std::fs::{create_dir, write};
use std::os::unix::fs::symlink;
use std::time::SystemTime;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;

struct Setting {
    directory: TempDir,
    assets: Arc<Assets>,
}

impl Setting {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let assets = Arc::new(Assets::new(directory.path().into()));
        Self { directory, assets }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        write(self.path(name), content).unwrap();
    }

    async fn get(&self, name: &str) -> Result<Bytes, String> {
        self.assets.get(name).await.map_err(|failure| failure.to_string())
    }

    fn known(&self) -> usize {
        self.assets.files().len()
    }

    /// As if the last look was long ago.
    fn age(&self) {
        self.assets.files().values_mut().for_each(|known| known.checked -= FRESH);
    }
}

#[tokio::test]
async fn a_symlink_that_leads_out_of_the_directory_is_not_followed() {
    let (setting, outside) = (Setting::new(), tempfile::NamedTempFile::new().unwrap());
    setting.write("real.js", "real");
    symlink("real.js", setting.path("inside.js")).unwrap();
    symlink(outside.path(), setting.path("outside.js")).unwrap();
    symlink("/dev/zero", setting.path("device.js")).unwrap();
    symlink("gone.js", setting.path("dangling.js")).unwrap();
    assert_eq!(setting.get("inside.js").await.unwrap(), "real");
    for name in ["outside.js", "device.js"] {
        assert_eq!(setting.get(name).await, Err("a symlink leads out of the directory".into()), "{name}");
    }
    assert_eq!(setting.get("dangling.js").await, Err("there is no such file".into()));
}

#[tokio::test]
async fn a_directory_that_is_a_symlink_itself_is_followed() {
    let (setting, real) = (Setting::new(), tempfile::tempdir().unwrap());
    write(real.path().join("a.js"), "a").unwrap();
    symlink(real.path(), setting.path("dist")).unwrap();
    assert_eq!(Arc::new(Assets::new(setting.path("dist"))).get("a.js").await.unwrap(), "a");
}

#[tokio::test]
async fn what_is_no_regular_file_is_not_opened() {
    let setting = Setting::new();
    create_dir(setting.path("directory.js")).unwrap();
    mknodat(CWD, setting.path("pipe.js"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    for name in ["directory.js", "pipe.js"] {
        assert_eq!(setting.get(name).await, Err("it is no regular file".into()), "{name}");
    }
}

#[tokio::test]
async fn a_file_of_8_mib_is_served_and_one_byte_more_is_not() {
    let setting = Setting::new();
    setting.write("largest.js", vec![b'x'; ASSET_BYTES_MAX]);
    setting.write("larger.js", vec![b'x'; ASSET_BYTES_MAX + 1]);
    assert_eq!(setting.get("largest.js").await.unwrap().len(), ASSET_BYTES_MAX);
    assert_eq!(setting.get("larger.js").await, Err("it has more than 8388608 bytes".into()));
}

#[tokio::test]
async fn a_file_is_in_memory_once_and_read_again_when_it_has_changed() {
    let setting = Setting::new();
    setting.write("a.js", "one");
    let first = setting.get("a.js").await.unwrap();
    setting.age();
    let again = setting.get("a.js").await.unwrap();
    assert_eq!(again.as_ptr(), first.as_ptr(), "the disk was looked at, and nothing read");
    setting.write("a.js", "two");
    let later = SystemTime::now() + Duration::from_secs(60);
    File::options().write(true).open(setting.path("a.js")).unwrap().set_modified(later).unwrap();
    assert_eq!(setting.get("a.js").await.unwrap(), "one", "looked at a moment ago");
    setting.age();
    assert_eq!((setting.get("a.js").await.unwrap(), first), ("two".into(), "one".into()));
    std::fs::remove_file(setting.path("a.js")).unwrap();
    setting.age();
    assert_eq!((setting.get("a.js").await.is_err(), setting.known()), (true, 0));
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_reading() {
    let setting = Setting::new();
    setting.write("a.js", vec![b'x'; 1_000_000]);
    let tasks: tokio::task::JoinSet<_> = (0..50)
        .map(|_| {
            let assets = Arc::clone(&setting.assets);
            async move { assets.get("a.js").await.unwrap() }
        })
        .collect();
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|answer| answer.as_ptr() == answers[0].as_ptr()));
}

#[tokio::test]
async fn files_that_nobody_reads_give_way_and_those_that_are_read_stay() {
    let setting = Setting::new();
    let fitting = ASSETS_BYTES_MAX / ASSET_BYTES_MAX;
    for number in 0..=fitting {
        setting.write(&format!("{number}.js"), vec![b'x'; ASSET_BYTES_MAX]);
    }
    let mut read = Vec::new();
    for number in 0..fitting {
        read.push(setting.get(&format!("{number}.js")).await.unwrap());
    }
    let last = format!("{fitting}.js");
    let refused = setting.get(&last).await.unwrap_err();
    assert!(refused.contains("no room"), "{refused}");
    drop(read.remove(1));
    setting.age();
    assert_eq!(setting.get(&last).await.unwrap().len(), ASSET_BYTES_MAX);
    assert!(setting.assets.fresh("1.js").is_none(), "it gave way");
    assert!(setting.known() <= fitting, "it gave way");
    for number in 0..ASSETS_MAX + 1 {
        setting.write(&format!("small{number}.js"), "");
        setting.get(&format!("small{number}.js")).await.unwrap();
    }
    assert!(setting.known() <= ASSETS_MAX, "{} files", setting.known());
    assert!(setting.get("made-up.js").await.is_err());
    assert!(!setting.assets.files().contains_key("made-up.js"));
}
