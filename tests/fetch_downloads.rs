//! Downloads against a local server that behaves badly in every way that servers do.

// A test may panic, its setup included.
#![allow(clippy::unwrap_used)]

mod fetch_server;

use std::fs;
use std::path::Path;
use std::time::Duration;

use fetch_server::{Answer, Request, Server};
use ybox::fetch::{FetchError, Fetcher, Inputs};
use ybox::lock::{LOCK_SCHEMA, Lock, LockedDeb, LockedWheel};
use ybox::settings::{Downloads, Settings, folder_url};
use ybox::ui::download::Progress;
use ybox::ui::{Explain, Failure};
use ybox_spec::Digest;

fn content() -> Vec<u8> {
    (0..300_000u32).flat_map(|i| i.to_le_bytes()).collect()
}

fn deb(content: &[u8]) -> LockedDeb {
    LockedDeb {
        name: "libtool".into(),
        version: "1.0-1".into(),
        architecture: "amd64".into(),
        archive: "debian".into(),
        suite: "trixie".into(),
        path: "pool/main/t/libtool_1.0-1_amd64.deb".into(),
        size: content.len() as u64,
        sha256: Digest::of(content),
    }
}

fn wheel(content: &[u8]) -> LockedWheel {
    LockedWheel {
        name: "Some.Tool".into(),
        version: "1.0".into(),
        file: "some_tool-1.0-py3-none-any.whl".into(),
        size: content.len() as u64,
        sha256: Digest::of(content),
    }
}

fn lock(debs: Vec<LockedDeb>, wheels: Vec<LockedWheel>) -> Lock {
    Lock { schema: LOCK_SCHEMA.into(), recipe: Digest::of(b""), packer: 1, debs, wheels }
}

fn settings(home: &Path, server: &str) -> Settings {
    let mut downloads = Downloads { retry_delay: Duration::from_millis(1), ..Downloads::default() };
    downloads.python_index = folder_url(&format!("{server}simple"));
    downloads.deb_mirrors.insert("debian".into(), folder_url(server).unwrap());
    Settings { downloads, ..Settings::of_home(home.into()) }
}

fn fetch(settings: &Settings, lock: &Lock) -> Result<Inputs, FetchError> {
    let fetcher = Fetcher::new(settings).unwrap().with_progress(Progress::silent());
    runtime().block_on(fetcher.all(lock))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn left_behind(home: &Path) -> Vec<String> {
    let entries = fs::read_dir(home.join("cache/sha256")).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with(".lock"));
    names
}

/// Fetches one package from a server that answers as told; what came of it and what was asked.
fn fetch_deb(
    home: &Path,
    answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
) -> (Result<Inputs, FetchError>, Vec<Request>) {
    let server = Server::start(answer);
    let result = fetch(&settings(home, &server.url), &lock(vec![deb(&content())], vec![]));
    (result, server.requests())
}

#[test]
fn a_download_that_broke_off_is_resumed() {
    let home = tempfile::tempdir().unwrap();
    let (result, requests) = fetch_deb(home.path(), |n, request| match n {
        0 => Answer { cut: Some(500_000), ..Answer::ok(content()) },
        _ => Answer::range(&content(), request),
    });
    let path = &result.unwrap().debs["libtool"];
    assert_eq!(fs::read(path).unwrap(), content());
    assert_eq!(requests.len(), 2);
    let from = requests[1].from.unwrap();
    assert!(from > 0 && from <= 500_000, "{from}");
    assert_eq!(left_behind(home.path()).len(), 1);
}

#[test]
fn progress_between_failures_counts_as_a_fresh_start() {
    let home = tempfile::tempdir().unwrap();
    let (result, requests) = fetch_deb(home.path(), |_, request| Answer {
        cut: Some(100_000.min(content().len() - request.from.unwrap_or(0))),
        ..Answer::range(&content(), request)
    });
    result.unwrap();
    assert!(requests.len() >= 12, "{}", requests.len());
}

#[test]
fn a_server_without_ranges_is_read_from_the_start() {
    let home = tempfile::tempdir().unwrap();
    let (result, requests) = fetch_deb(home.path(), |n, _| Answer {
        cut: (n == 0).then_some(500_000),
        ..Answer::ok(content())
    });
    result.unwrap();
    assert_eq!(requests.len(), 2);
}

#[test]
fn what_an_earlier_run_left_is_used() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache/sha256");
    fs::create_dir_all(&cache).unwrap();
    let part = cache.join(format!("{}.part", Digest::of(&content()).hex()));
    fs::write(part, &content()[..1_000_000]).unwrap();
    let (result, requests) =
        fetch_deb(home.path(), |_, request| Answer::range(&content(), request));
    result.unwrap();
    assert_eq!(requests[0].from, Some(1_000_000));
}

#[test]
fn a_wrong_beginning_is_thrown_away_and_the_rest_fetched_once_more() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache/sha256");
    fs::create_dir_all(&cache).unwrap();
    let part = cache.join(format!("{}.part", Digest::of(&content()).hex()));
    fs::write(part, vec![7; 1_000_000]).unwrap();
    let (result, requests) =
        fetch_deb(home.path(), |_, request| Answer::range(&content(), request));
    assert_eq!(fs::read(&result.unwrap().debs["libtool"]).unwrap(), content());
    assert_eq!(requests.iter().map(|r| r.from).collect::<Vec<_>>(), [Some(1_000_000), None]);
}

#[test]
fn wrong_content_is_refused_and_not_left_behind() {
    let home = tempfile::tempdir().unwrap();
    let mut other = content();
    other[77] ^= 1;
    let (result, requests) = fetch_deb(home.path(), move |_, _| Answer::ok(other.clone()));
    let failure = Failure::from(result.unwrap_err());
    assert_eq!(failure.exit, 1);
    insta::assert_snapshot!(failure);
    assert_eq!(requests.len(), 1);
    assert_eq!(left_behind(home.path()), [""; 0]);
}

#[test]
fn a_wrong_size_is_refused_before_it_is_downloaded() {
    let home = tempfile::tempdir().unwrap();
    let (result, requests) = fetch_deb(home.path(), |_, _| Answer::ok("<html>log in</html>"));
    let error = result.unwrap_err();
    assert!(
        matches!(&error, FetchError::WrongSize { expected: 1_200_000, found: 19, .. }),
        "{error}"
    );
    assert_eq!(requests.len(), 1);
    assert_eq!(left_behind(home.path()), [""; 0]);
}

#[test]
fn an_overloaded_server_is_asked_again() {
    let home = tempfile::tempdir().unwrap();
    let (result, requests) = fetch_deb(home.path(), |n, _| match n {
        0 => Answer::status(500),
        1 => Answer::status(429),
        _ => Answer::ok(content()),
    });
    result.unwrap();
    assert_eq!(requests.len(), 3);
}

#[test]
fn a_server_that_stays_down_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let (result, requests) = fetch_deb(home.path(), |_, _| Answer::status(503));
    let error = result.unwrap_err();
    assert!(error.to_string().ends_with("the server answered 503 Service Unavailable"), "{error}");
    assert!(error.hint().unwrap().starts_with("try again"));
    assert_eq!(requests.len(), 5);
}

#[test]
fn a_refusal_is_not_asked_again() {
    let home = tempfile::tempdir().unwrap();
    let (result, requests) = fetch_deb(home.path(), |_, _| Answer::status(403));
    assert!(matches!(result, Err(FetchError::Status { .. })));
    assert_eq!(requests.len(), 1);
}

#[test]
fn a_package_that_left_the_archive_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let (result, _) = fetch_deb(home.path(), |_, _| Answer::status(404));
    insta::assert_snapshot!(Failure::from(result.unwrap_err()));
}

#[test]
fn a_package_that_left_the_archive_is_found_in_the_snapshots() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| match request.path.as_str() {
        "/snapshot/mr/binary/libtool/1.0-1/binfiles" => Answer::ok(
            r#"{"binary": "libtool", "result": [{"architecture": "arm64", "hash": "aa"},
                {"architecture": "amd64", "hash": "bb"}]}"#,
        ),
        "/snapshot/file/bb" => Answer::ok(content()),
        _ => Answer::status(404),
    });
    let mut settings = settings(home.path(), &server.url);
    settings.downloads.snapshot = folder_url(&format!("{}snapshot", server.url));
    let inputs = fetch(&settings, &lock(vec![deb(&content())], vec![])).unwrap();
    assert_eq!(fs::read(&inputs.debs["libtool"]).unwrap(), content());

    let mut other = deb(&content());
    (other.name, other.sha256) = ("libother".into(), Digest::of(b"other"));
    let error = fetch(&settings, &lock(vec![other], vec![])).unwrap_err();
    assert!(matches!(error, FetchError::NoSnapshot { .. }), "{error}");
}

#[test]
fn wheels_are_found_in_a_json_index() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| match request.path.as_str() {
        "/simple/some-tool/" => Answer {
            content_type: "application/vnd.pypi.simple.v1+json",
            ..Answer::ok(
                r#"{"meta": {"api-version": "1.0"}, "name": "some-tool", "files": [
                {"filename": "some_tool-1.0-py3-none-any.whl", "hashes": {},
                 "url": "../../files/tool.whl"}]}"#,
            )
        },
        "/files/tool.whl" => Answer::ok(content()),
        _ => Answer::status(404),
    });
    let lock = lock(vec![], vec![wheel(&content())]);
    let inputs = fetch(&settings(home.path(), &server.url), &lock).unwrap();
    assert_eq!(fs::read(&inputs.wheels["Some.Tool"]).unwrap(), content());
    assert!(server.requests()[0].accept.contains("simple.v1+json"));
}

#[test]
fn wheels_are_found_in_an_html_index_behind_a_password() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| match request.path.as_str() {
        // ann:secret
        _ if request.authorization != "Basic YW5uOnNlY3JldA==" => Answer::status(401),
        "/simple/some-tool/" => Answer {
            content_type: "text/html; charset=UTF-8",
            ..Answer::ok("<a href=\"/files/tool.whl#md5=0\">some_tool-1.0-py3-none-any.whl</a>")
        },
        "/files/tool.whl" => Answer::ok(content()),
        _ => Answer::status(404),
    });
    let url = server.url.replace("http://", "http://ann:secret@");
    let lock = lock(vec![], vec![wheel(&content())]);
    fetch(&settings(home.path(), &url), &lock).unwrap();
    let url = server.url.replace("http://", "http://ann:wrong@");
    let other = tempfile::tempdir().unwrap();
    let error = fetch(&settings(other.path(), &url), &lock).unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
}

#[test]
fn a_wheel_that_the_index_lacks_is_told() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Answer::status(404));
    let lock = lock(vec![], vec![wheel(&content())]);
    let error = fetch(&settings(home.path(), &server.url), &lock).unwrap_err();
    assert_eq!(error.exit(), 1);
    assert!(error.to_string().contains("some_tool-1.0-py3-none-any.whl"), "{error}");
}

#[test]
fn what_is_cached_needs_no_network() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Answer::ok(content()));
    let mut settings = settings(home.path(), &server.url);
    let lock = lock(vec![deb(&content())], vec![]);
    settings.downloads.offline = true;
    let error = fetch(&settings, &lock).unwrap_err();
    insta::assert_snapshot!(Failure::from(error));
    settings.downloads.offline = false;
    let inputs = fetch(&settings, &lock).unwrap();
    settings.downloads.offline = true;
    assert_eq!(fetch(&settings, &lock).unwrap(), inputs);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_deep_look_replaces_what_changed_in_the_cache() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Answer::ok(content()));
    let settings = settings(home.path(), &server.url);
    let lock = lock(vec![deb(&content())], vec![]);
    let path = fetch(&settings, &lock).unwrap().debs["libtool"].clone();
    fs::write(&path, vec![0; content().len()]).unwrap();
    fetch(&settings, &lock).unwrap();
    assert_eq!(server.requests().len(), 1);
    let fetcher = Fetcher::new(&settings).unwrap().with_progress(Progress::silent()).deep(true);
    runtime().block_on(fetcher.all(&lock)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn two_that_share_a_cache_download_once() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_millis(200));
        Answer::ok(content())
    });
    let settings = settings(home.path(), &server.url);
    let lock = lock(vec![deb(&content())], vec![]);
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..3).map(|_| scope.spawn(|| fetch(&settings, &lock).unwrap())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(results.iter().all(|inputs| *inputs == results[0]));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_folder_serves_as_a_mirror() {
    let home = tempfile::tempdir().unwrap();
    let mirror = tempfile::tempdir().unwrap();
    let deb = deb(&content());
    let file = mirror.path().join(&deb.path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content()).unwrap();
    let settings = settings(home.path(), &format!("{}/", mirror.path().display()));
    let inputs = fetch(&settings, &lock(vec![deb], vec![])).unwrap();
    assert_eq!(fs::read(&inputs.debs["libtool"]).unwrap(), content());
}
