//! All inputs of a lock in the cache: each from its own kind of source, a few at a time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::download::Download;
use super::index::{self, IndexFile};
use super::{Cache, Client, FetchError, Item, Sources};
use crate::lock::{Lock, LockedDeb, LockedWheel};
use crate::settings::Settings;
use crate::ui::download::Progress;

/// Downloads at a time.
const PARALLEL: usize = 4;
/// Pages of the index and answers of the snapshot service are smaller than this.
const PAGE_LIMIT: u64 = 64 << 20;

/// Fetches inputs into the cache.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    cache: Cache,
    carried: Option<Cache>,
    sources: Sources,
    progress: Progress,
    offline: bool,
    deep: bool,
}

/// Where the inputs of a lock lie, by package name. Their content is what the lock says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    pub debs: BTreeMap<String, PathBuf>,
    pub wheels: BTreeMap<String, PathBuf>,
}

#[derive(Clone, Copy)]
enum Input<'a> {
    Deb(&'a LockedDeb),
    Wheel(&'a LockedWheel),
}

impl Fetcher {
    pub fn new(settings: &Settings) -> Result<Self, FetchError> {
        Ok(Self {
            client: Client::new(&settings.downloads)?,
            cache: Cache::open(&settings.home)?,
            carried: settings.downloads.carried.as_deref().map(Cache::carried),
            sources: Sources::new(&settings.downloads),
            progress: Progress::stderr(),
            offline: settings.downloads.offline,
            deep: false,
        })
    }

    /// Hash again what is in the cache; what changed there is downloaded anew.
    pub fn deep(self, deep: bool) -> Self {
        Self { deep, ..self }
    }

    pub fn with_progress(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Has every input of `lock` in the cache: looks there first, downloads the rest.
    pub async fn all(&self, lock: &Lock) -> Result<Inputs, FetchError> {
        let wanted: Vec<Input> =
            lock.debs.iter().map(Input::Deb).chain(lock.wheels.iter().map(Input::Wheel)).collect();
        let mut inputs = Inputs::default();
        let mut missing = Vec::new();
        for input in wanted {
            match self.cached(&input.item())? {
                Some(path) => inputs.insert(input, path),
                None => missing.push(input),
            }
        }
        if self.offline && !missing.is_empty() {
            let files = missing.iter().map(|input| input.item().name).collect();
            return Err(FetchError::Offline { files });
        }
        // The longest download first: the short ones fit in beside it.
        missing.sort_by_key(|input| Reverse(input.item().size));
        let mut downloads = stream::iter(missing)
            .map(|input| async move { self.input(input).await.map(|path| (input, path)) })
            .buffer_unordered(PARALLEL);
        while let Some((input, path)) = downloads.try_next().await? {
            inputs.insert(input, path);
        }
        Ok(inputs)
    }

    /// Puts every input of `lock` into `folder`, to be carried to where there is no network.
    pub async fn carry(&self, lock: &Lock, folder: &Cache) -> Result<(), FetchError> {
        let inputs = self.all(lock).await?;
        for deb in &lock.debs {
            folder.keep(&Input::Deb(deb).item(), &inputs.debs[&deb.name])?;
        }
        for wheel in &lock.wheels {
            folder.keep(&Input::Wheel(wheel).item(), &inputs.wheels[&wheel.name])?;
        }
        Ok(())
    }

    /// Has the file `item` in the cache, from `url` if it is not there yet.
    pub async fn file(&self, item: &Item, url: &Url) -> Result<PathBuf, FetchError> {
        if let Some(path) = self.cached(item)? {
            return Ok(path);
        }
        self.online(&item.name)?;
        let bar = self.progress.start(&item.name, item.size);
        let download = Download { client: &self.client, cache: &self.cache, item, bar: &bar };
        let path = download.run(url).await?;
        bar.finish();
        Ok(path)
    }

    /// The whole of a small file that is not kept.
    pub async fn read(&self, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        self.online(url.path())?;
        Ok(self.client.read(url, None, limit).await?.0)
    }

    /// Size of a file, if the server tells it.
    pub async fn size(&self, url: &Url) -> Result<Option<u64>, FetchError> {
        self.online(url.path())?;
        self.client.size(url).await
    }

    fn online(&self, file: &str) -> Result<(), FetchError> {
        match self.offline {
            true => Err(FetchError::Offline { files: vec![file.into()] }),
            false => Ok(()),
        }
    }

    /// The files of a project in the first index that has one that is `wanted`. Where none has,
    /// what all of them offer. Later indexes are asked only for what the earlier ones lack, so that
    /// nobody can put another file in place of theirs.
    pub async fn project(
        &self,
        name: &str,
        wanted: impl Fn(&IndexFile) -> bool,
    ) -> Result<Vec<IndexFile>, FetchError> {
        self.online(&format!("index of {name}"))?;
        let mut offered = self.project_of(&self.sources.python_index()?, name).await?;
        if offered.iter().flatten().any(&wanted) {
            return Ok(offered.unwrap_or_default());
        }
        for index in self.sources.python_extra_indexes() {
            let further = match self.project_of(index, name).await {
                // As file stores answer for what they don't have.
                Err(FetchError::Status { status, .. }) if status == StatusCode::FORBIDDEN => None,
                further => further?,
            };
            let Some(further) = further else { continue };
            if further.iter().any(&wanted) {
                return Ok(further);
            }
            offered.get_or_insert_default().extend(further);
        }
        offered.ok_or_else(|| FetchError::NotInIndex { file: name.into() })
    }

    /// The files that an index offers for a project, if it has that.
    async fn project_of(
        &self,
        root: &Url,
        name: &str,
    ) -> Result<Option<Vec<IndexFile>>, FetchError> {
        let page = format!("{}/", index::normalized(name));
        let url = root.join(&page).map_err(|_| FetchError::NotInIndex { file: name.into() })?;
        let read = self.client.read(&url, Some(index::ACCEPT), PAGE_LIMIT).await;
        let (content, reply) = match read {
            Err(FetchError::Missing { .. }) => return Ok(None),
            read => read?,
        };
        let mut files = index::parse(&reply.url, reply.content_type.as_deref(), &content)
            .map_err(|source| FetchError::Index { url: Box::new(url), source })?;
        for file in &mut files {
            share_credentials(root, &mut file.url);
        }
        Ok(Some(files))
    }

    fn cached(&self, item: &Item) -> Result<Option<PathBuf>, FetchError> {
        let found = match self.deep {
            true => self.cache.find_checked(&item.digest, item.size)?,
            false => self.cache.find(&item.digest, item.size)?,
        };
        match &self.carried {
            Some(carried) if found.is_none() => carried.find_carried(&item.digest, item.size),
            _ => Ok(found),
        }
    }

    async fn input(&self, input: Input<'_>) -> Result<PathBuf, FetchError> {
        match input {
            Input::Deb(deb) => self.deb(deb).await,
            Input::Wheel(wheel) => self.wheel(wheel).await,
        }
    }

    async fn wheel(&self, wheel: &LockedWheel) -> Result<PathBuf, FetchError> {
        let not_there = || FetchError::NotInIndex { file: wheel.file.clone() };
        let files = match self.project(&wheel.name, |file| file.name == wheel.file).await {
            Err(FetchError::NotInIndex { .. }) => return Err(not_there()),
            files => files?,
        };
        let file = files.into_iter().find(|f| f.name == wheel.file).ok_or_else(not_there)?;
        self.file(&Input::Wheel(wheel).item(), &file.url).await
    }

    async fn deb(&self, deb: &LockedDeb) -> Result<PathBuf, FetchError> {
        let item = Input::Deb(deb).item();
        let archive = self.sources.deb(&deb.archive)?;
        let gone = || FetchError::Gone {
            package: deb.name.clone(),
            version: deb.version.clone(),
            snapshot: self.sources.snapshot().is_some(),
        };
        let url = archive.url.join(&deb.path).map_err(|_| gone())?;
        match self.file(&item, &url).await {
            Err(FetchError::Missing { .. }) => {}
            result => return result,
        }
        let Some(snapshot) = self.sources.snapshot() else { return Err(gone()) };
        let url = self.snapshot_url(snapshot, deb).await?;
        match self.file(&item, &url).await {
            Err(FetchError::Missing { .. }) => Err(gone()),
            result => result,
        }
    }

    /// Where the snapshot service keeps a package: it names files by SHA-1, which its
    /// machine-readable interface tells for a package and version.
    async fn snapshot_url(&self, root: &Url, deb: &LockedDeb) -> Result<Url, FetchError> {
        let none =
            || FetchError::NoSnapshot { package: deb.name.clone(), version: deb.version.clone() };
        let query = format!("mr/binary/{}/{}/binfiles", deb.name, deb.version);
        let query = root.join(&query).map_err(|_| none())?;
        let answer = match self.client.read(&query, None, PAGE_LIMIT).await {
            Err(FetchError::Missing { .. }) => return Err(none()),
            answer => answer?.0,
        };
        let files: SnapshotFiles = serde_json::from_slice(&answer).map_err(|_| none())?;
        let file = files.result.into_iter().find(|f| f.architecture == deb.architecture);
        let hash = file.ok_or_else(none)?.hash;
        root.join(&format!("file/{hash}")).map_err(|_| none())
    }
}

#[derive(Deserialize)]
struct SnapshotFiles {
    result: Vec<SnapshotFile>,
}

#[derive(Deserialize)]
struct SnapshotFile {
    architecture: String,
    hash: String,
}

/// Files on the index's own host are asked for with the index's user name and password, as pip
/// does.
fn share_credentials(index: &Url, file: &mut Url) {
    if file.host() == index.host() && file.port() == index.port() && file.username().is_empty() {
        let _ = file.set_username(index.username());
        let _ = file.set_password(index.password());
    }
}

impl Input<'_> {
    fn item(&self) -> Item {
        match self {
            Self::Deb(deb) => {
                Item { name: file_name(&deb.path), size: deb.size, digest: deb.sha256 }
            }
            Self::Wheel(wheel) => {
                Item { name: wheel.file.clone(), size: wheel.size, digest: wheel.sha256 }
            }
        }
    }
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.into(), |n| n.to_string_lossy().into_owned())
}

impl Inputs {
    fn insert(&mut self, input: Input, path: PathBuf) {
        match input {
            Input::Deb(deb) => self.debs.insert(deb.name.clone(), path),
            Input::Wheel(wheel) => self.wheels.insert(wheel.name.clone(), path),
        };
    }
}
