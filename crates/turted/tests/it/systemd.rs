//! What systemd does with the program, and the program with it. The unit itself is judged by `systemd-analyze`, and
//! what it promises is tried with `setpriv`, where these are.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::support::{Child, Http, PATIENCE, eventually};

const UNIT: &str = include_str!("../../../../packaging/turted.service");
const DOCS: &str = include_str!("../../../../docs/configuration-systemd.md");
/// Who a service with `DynamicUser` is: nobody that owns anything.
const NOBODY: u32 = 65_534;
/// Signs of life in the two seconds that workers wait for their last tasks. There are two hundred on a machine with nothing
/// else to do.
const SIGNS_MIN: usize = 5;
/// What `systemd-analyze security` may say at most, of 10; as a whole number, of 100. It says 1.7.
const EXPOSURE_MAX: &str = "20";

fn program(name: &str) -> Option<PathBuf> {
    let found = ["/usr/bin", "/usr/sbin", "/bin"].map(|directory| Path::new(directory).join(name));
    let found = found.into_iter().find(|path| path.exists());
    if found.is_none() {
        println!("not tried: {name} is not installed");
    }
    found
}

/// `setpriv` with what the unit says of privileges, and these capabilities. Root alone can give up what it has.
fn setpriv(capabilities: &str) -> Option<Command> {
    let mut command = Command::new(program("setpriv")?);
    if !geteuid().is_root() {
        println!("not tried: only root becomes somebody else");
        return None;
    }
    let nobody = NOBODY.to_string();
    command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--no-new-privs"]);
    for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
        command.args([set, capabilities]);
    }
    Some(command)
}

/// What `systemd-analyze` says to a unit, which is called `name` and has `text`, if it objects.
fn analyze(arguments: &[&str], name: &str, text: &str) -> Result<(), String> {
    let Some(analyze) = program("systemd-analyze") else { return Ok(()) };
    let directory = tempfile::tempdir().unwrap();
    let installed = "/usr/local/bin/turted";
    fs::write(directory.path().join(name), text.replace(installed, env!("CARGO_BIN_EXE_turted"))).unwrap();
    // A socket belongs to a service.
    let service = UNIT.replace(installed, env!("CARGO_BIN_EXE_turted"));
    if name != "turted.service" {
        fs::write(directory.path().join("turted.service"), service).unwrap();
    }
    let output = Command::new(analyze).args(arguments).arg(directory.path().join(name)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    // What it only warns about, a key that it does not know say, is no failure to it.
    let is_fine = output.status.success() && (arguments != ["verify"] || text.is_empty());
    if is_fine { Ok(()) } else { Err(text.into_owned()) }
}

#[test]
fn the_unit_is_valid_and_gives_little_away() {
    assert_eq!(analyze(&["verify"], "turted.service", UNIT), Ok(()));
    assert_eq!(
        analyze(&["security", "--offline=yes", "--threshold", EXPOSURE_MAX], "turted.service", UNIT),
        Ok(())
    );
    if program("systemd-analyze").is_some() {
        let wrong = format!("{UNIT}\n[Service]\nLoadCredentials=a:/b\n");
        assert!(analyze(&["verify"], "turted.service", &wrong).is_err(), "it looks at keys");
    }
}

#[test]
fn what_the_unit_and_the_docs_offer_to_add_is_valid() {
    let offered =
        UNIT.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with(' '));
    let offered: Vec<&str> = offered.collect();
    assert!(offered.len() >= 3, "{offered:?}");
    let all = format!("{UNIT}\n[Service]\n{}\n", offered.join("\n"));
    assert_eq!(analyze(&["verify"], "turted.service", &all), Ok(()));
    let blocks: Vec<&str> =
        DOCS.split("```ini\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 4, "{blocks:?}");
    for block in blocks {
        let said = match block.starts_with("[Socket]") {
            true => analyze(&["verify"], "turted.socket", block),
            false => analyze(&["verify"], "turted.service", &format!("{UNIT}\n{block}")),
        };
        assert_eq!(said, Ok(()), "{block}");
    }
}

/// The capability sets of the unit, as `setpriv` writes them.
fn capabilities_of_the_unit() -> String {
    let line = |key: &str| UNIT.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let bounding = line("CapabilityBoundingSet=");
    assert_eq!(bounding, line("AmbientCapabilities="));
    // In a user namespace of its own none would count for the ports of the machine.
    assert!(!UNIT.lines().any(|line| line == "PrivateUsers=yes"));
    let names =
        bounding.split(' ').map(|name| format!(",+{}", name.strip_prefix("CAP_").unwrap().to_lowercase()));
    format!("-all{}", names.collect::<String>())
}

#[test]
fn the_capabilities_of_the_unit_open_port_443_and_without_them_the_error_names_them() {
    let start = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let (Some(mut with), Some(mut without)) = (setpriv(&capabilities_of_the_unit()), setpriv("-all")) else {
        return;
    };
    if start.trim() != "1024" {
        return println!("not tried: everybody may listen on port 443 here");
    }
    // Of the many addresses of this machine one that nobody else listens on.
    let serve = ["serve", "--listen", "127.4.4.3:443"];
    let mut child = with.arg(env!("CARGO_BIN_EXE_turted")).args(serve).env_clear();
    child = child.env("TURTED_ADMIN_LISTEN", "").current_dir("/").stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let served = output.lines().map_while(Result::ok).any(|line| line == "listening on http://127.4.4.3:443");
    // Reading until the line is there closes the pipe behind it, which a banner does not mind.
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(served);
    assert!(child.wait().unwrap().success());
    let refused = without.arg(env!("CARGO_BIN_EXE_turted")).args(serve).env_clear();
    let refused = refused.env("TURTED_ADMIN_LISTEN", "").current_dir("/").output().unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        text,
        "turted: cannot listen on 127.4.4.3:443: Permission denied (os error 13); ports below 1024 need the capability \
         CAP_NET_BIND_SERVICE, which the systemd unit gives\n"
    );
}

/// A file with `text`, of this owner and group, in a directory that everybody may enter.
fn file(directory: &Path, name: &str, (owner, group, mode): (u32, u32, u32)) -> String {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.join(name);
    fs::write(&path, "tiger\n").unwrap();
    chown(&path, Some(owner), Some(group)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_secret_that_only_root_reads_is_told_and_a_credential_is_read_without_a_warning() {
    let Some(mut nobody) = setpriv("-all") else { return };
    let directory = tempfile::tempdir().unwrap();
    let root = file(directory.path(), "root", (0, 0, 0o600));
    let check = nobody.arg(env!("CARGO_BIN_EXE_turted")).arg("check").env_clear().current_dir("/");
    let refused = check.env("TURTED_PUSH_PASSWORD_FILE", &root).output().unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    let reason = "Permission denied (os error 13); under systemd load it as a credential, as the unit shows";
    assert_eq!(refused.status.code(), Some(2));
    assert!(text.contains(&format!("`push.password_file`: cannot read {root}: {reason}")), "{text}");
    // As systemd makes them: of the service, or of root with an entry for the service, which shows as the group; and as
    // a program that renews certificates gives them to a group.
    for (name, rights) in
        [("own", (NOBODY, NOBODY, 0o400)), ("listed", (0, NOBODY, 0o440)), ("group", (0, NOBODY, 0o640))]
    {
        let path = file(directory.path(), name, rights);
        let variables = [("TURTED_PUSH_PASSWORD_FILE", path.as_str())];
        let child = Child::start_by(setpriv("-all").unwrap(), &variables);
        let push = |password: &str| {
            let headers = [("Authorization", password), ("Connection", "close")];
            child.http().post("/push/", &headers, r#"{"event":"E","targets":{"broadcast":true}}"#).status
        };
        assert_eq!((push("Bearer tiger"), push("Bearer lion")), (200, 401));
        let output = child.stop();
        assert!(!output.contains("open to other users"), "{output}");
    }
}

#[test]
fn systemd_is_told_by_a_name_without_a_path() {
    let name = format!("turted-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = Child::start(&[("NOTIFY_SOCKET", &format!("@{name}"))]);
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"READY=1\n");
    assert!(!child.stop().contains("cannot tell systemd"));
}

#[test]
fn a_stop_that_waits_for_an_idle_connection_still_gives_signs_of_life() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let variables =
        [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "20000"), ("TURTED_LOG_LEVEL", "info")];
    let mut child = Child::start(&variables);
    let idle = TcpStream::connect(child.address()).unwrap();
    assert_eq!(child.http().get("/health").status, 200);
    child.signal(Signal::TERM);
    let (mut told, mut buffer) = (Vec::new(), [0; 64]);
    // The last wait is for nothing: there is no process any more.
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while child.is_running() {
        if let Ok(length) = socket.recv(&mut buffer) {
            told.push(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned());
        }
    }
    drop(idle);
    let stopping = told.iter().position(|state| state == "STOPPING=1").unwrap();
    let signs = told[stopping..].iter().filter(|state| *state == "WATCHDOG=1").count();
    assert!(signs >= SIGNS_MIN, "{told:?}");
    let output = child.finish();
    assert!(!output.contains("a worker does not answer"), "{output}");
}

#[test]
fn a_socket_that_systemd_opened_is_served_by_all_workers_and_kept_for_the_next_run() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let first = Child::start_with_socket(&socket, &[]);
    assert_eq!(first.address(), address, "not the address of the flag");
    let clients: Vec<Http> = (0..20).map(|_| first.http()).collect();
    for mut client in clients {
        assert_eq!(client.get("/health").text(), "ok\n");
    }
    first.stop();
    // Nobody serves it, and nobody is refused: the kernel keeps who comes.
    let mut early = Http::connect(address);
    early.send_request("GET", "/health", &[], b"");
    let second = Child::start_with_socket(&socket, &[]);
    assert_eq!(early.read().unwrap().text(), "ok\n");
    drop(early);
    second.stop();
}

/// What the program says to `count` sockets like this one.
fn refusal(socket: impl Into<Stdio>, count: usize, listen_pid: &str) -> (Option<i32>, String) {
    let script =
        format!("export LISTEN_FDS={count} LISTEN_PID={listen_pid}; exec \"$0\" serve 3<&0 4<&0 </dev/null");
    let output = Command::new("/bin/sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_turted")])
        .env_clear()
        .env("TURTED_ADMIN_LISTEN", "")
        .current_dir(std::env::temp_dir())
        .stdin(socket)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn sockets_that_cannot_be_served_are_refused_by_the_name_of_their_variable() {
    let tcp = || std::os::fd::OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let (code, text) = refusal(tcp(), 2, "$$");
    let reason = "LISTEN_FDS: expected one socket, which takes the place of `listen`, found 2";
    assert_eq!((code, text), (Some(2), format!("turted: {reason}\n")));
    let directory = tempfile::tempdir().unwrap();
    let unix = UnixListener::bind(directory.path().join("socket")).unwrap();
    let (code, text) = refusal(std::os::fd::OwnedFd::from(unix), 1, "$$");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.starts_with("turted: LISTEN_FDS: expected a TCP socket that listens"), "{text}");
    // It is judged as `listen` is.
    let open = TcpListener::bind("0.0.0.0:0").unwrap();
    let (code, text) = refusal(std::os::fd::OwnedFd::from(open), 1, "$$");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("LISTEN_FDS: `listen` = \"0.0.0.0:"), "{text}");
}

#[test]
fn a_hangup_reads_the_push_password_and_the_admin_token_again() {
    let directory = tempfile::tempdir().unwrap();
    let (password, token) = (directory.path().join("password"), directory.path().join("token"));
    let write = |password_text: &str, token_text: &str| {
        fs::write(&password, password_text).unwrap();
        fs::write(&token, token_text).unwrap();
    };
    write("tiger\n", "eye\n");
    let variables = [
        ("TURTED_PUSH_PASSWORD_FILE", password.to_str().unwrap()),
        ("TURTED_ADMIN_TOKEN_FILE", token.to_str().unwrap()),
        ("TURTED_LIMITS_WRONG_PASSWORDS", "1000000"),
    ];
    let (child, log) = Child::start_unread(&variables);
    let push = |password: &str| {
        let (value, body) = (format!("Bearer {password}"), r#"{"event":"E","targets":{"broadcast":true}}"#);
        child.http().post("/push/", &[("Authorization", value.as_str())], body).status
    };
    let look = |token: &str| {
        let value = format!("Bearer {token}");
        child.admin().request("GET", "/metrics", &[("Authorization", value.as_str())], b"").status
    };
    assert_eq!((push("tiger"), push("lion"), look("eye"), look("ear")), (200, 401, 200, 401));
    write("lion\n", "ear\n");
    assert_eq!((push("tiger"), look("eye")), (200, 200), "nothing changes by itself");
    child.signal(Signal::HUP);
    eventually("the new ones count", || push("lion") == 200 && look("ear") == 200);
    assert_eq!((push("tiger"), look("eye")), (401, 401));
    let mut log = BufReader::new(log).lines().map_while(Result::ok);
    for (password, token) in [("tiger", ""), ("", "eye")] {
        write(password, token);
        child.signal(Signal::HUP);
        let told = log.find(|line| line.contains("the old secrets stay")).unwrap();
        assert!(told.contains("the secret is empty"), "{told}");
        assert!(!told.contains("lion"), "{told}");
        assert_eq!((push("lion"), look("ear")), (200, 200), "what cannot be used changes nothing");
    }
    child.stop();
}
