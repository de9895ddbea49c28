//! TLS for clients that have none: a pair of certificate and key, and a tunnel that encrypts.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConfig, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::{RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use turted::config::Tls;

/// A certificate for `localhost` and its key, in files.
pub(crate) struct Pair {
    directory: TempDir,
    cert: CertificateDer<'static>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let pair = Self { directory: tempfile::tempdir().unwrap(), cert: Vec::new().into() };
        pair.renewed()
    }

    /// The same files with another certificate and key.
    pub(crate) fn renewed(self) -> Self {
        self.with(|_| {})
    }

    /// The same with a certificate as an authority has, such as openssl makes by itself.
    pub(crate) fn of_an_authority(self) -> Self {
        self.with(|parameters| parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn with(self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let cert = parameters.self_signed(&key).unwrap();
        fs::write(self.files().cert, cert.pem()).unwrap();
        fs::write(self.files().key, key.serialize_pem()).unwrap();
        Self { cert: cert.der().clone(), ..self }
    }

    pub(crate) fn files(&self) -> Tls {
        Tls { cert: self.directory.path().join("cert.pem"), key: self.directory.path().join("key.pem") }
    }

    /// A client that trusts this certificate and no other.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.cert.clone()).unwrap();
        let verifier: Arc<dyn ServerCertVerifier> =
            WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build().unwrap();
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    }

    /// A tunnel of a client that trusts this certificate and no other.
    pub(crate) fn tunnel(&self, server: SocketAddr) -> Tunnel {
        Tunnel::start(server, self.client(rustls::ALL_VERSIONS), b"")
    }
}

/// Takes connections in the clear and carries each one to a server that speaks TLS. One that is
/// not let in ends without a byte.
pub(crate) struct Tunnel {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tunnel {
    /// `prefix` is sent in the clear before each handshake.
    pub(crate) fn start(server: SocketAddr, client: ClientConfig, prefix: &'static [u8]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let connector = TlsConnector::from(Arc::new(client));
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let accept = accept(listener, |plain| carry(plain, server, connector.clone(), prefix));
                tokio::select! { () = accept => {}, _ = stopped => {} }
            });
        };
        Self { address, stop: Some(stop), thread: Some(thread::spawn(run)) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

/// Carries every connection that comes, each in a task that ends with the runtime.
async fn accept<F: Future<Output = io::Result<()>> + Send + 'static>(
    listener: std::net::TcpListener,
    carry: impl Fn(TcpStream) -> F,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((plain, _)) = listener.accept().await {
        #[allow(clippy::disallowed_methods, reason = "the runtime ends with the tunnel")]
        tokio::spawn(carry(plain));
    }
}

async fn carry(
    mut plain: TcpStream,
    server: SocketAddr,
    connector: TlsConnector,
    prefix: &[u8],
) -> io::Result<()> {
    plain.set_nodelay(true)?;
    let mut tcp = TcpStream::connect(server).await?;
    tcp.set_nodelay(true)?;
    tcp.write_all(prefix).await?;
    let mut tls = connector.connect("localhost".try_into().unwrap(), tcp).await?;
    copy_bidirectional(&mut plain, &mut tls).await.map(|_| ())
}
