//! Checks the editor's assets; pins Bun's version into the program, and in a release build Bun itself.
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    check_assets();
    embed_bun();
}

/// Sets `STEADY_BUN_VERSION`; in a release build with the feature `embed-bun` also packs Bun and sets
/// `cfg(embed_bun)` and `STEADY_BUN_SHA256`.
fn embed_bun() {
    println!("cargo::rustc-check-cfg=cfg(embed_bun)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=package.json");
    println!("cargo::rerun-if-env-changed=STEADY_BUN_ZSTD");
    let package = fs::read_to_string("package.json").expect("package.json can be read");
    let version = package
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"bun\": \""))
        .and_then(|rest| rest.split('"').next())
        .filter(|v| v.starts_with(|c: char| c.is_ascii_digit()))
        .expect("package.json pins an exact version of bun");
    println!("cargo::rustc-env=STEADY_BUN_VERSION={version}");
    if env::var("PROFILE").as_deref() != Ok("release") || env::var_os("CARGO_FEATURE_EMBED_BUN").is_none() {
        return;
    }
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let names: &[&str] = match arch.as_str() {
        "aarch64" => &["@oven/bun-linux-aarch64/bin/bun"],
        _ => &["@oven/bun-linux-x64-baseline/bin/bun", "@oven/bun-linux-x64/bin/bun"],
    };
    let found = names.iter().chain(&["bun/bin/bun.exe"]).map(|n| Path::new("node_modules").join(n));
    let is_program = |path: &PathBuf| fs::metadata(path).is_ok_and(|m| m.len() > 10 << 20);
    let Some(bun) = found.into_iter().find(is_program) else {
        panic!("a release build embeds Bun {version}, and node_modules has none: run `npm ci` first");
    };
    println!("cargo::rerun-if-changed={}", bun.display());
    let bytes = fs::read(&bun).expect("Bun can be read");
    // 12: 44.7 MB in 9 s of processor time. 19 saves 3.7 MB more and takes 100 s; 9 saves 5 s for 0.5 MB.
    let level = env::var("STEADY_BUN_ZSTD").ok().and_then(|l| l.parse().ok()).unwrap_or(12);
    let packed = zstd::encode_all(bytes.as_slice(), level).expect("Bun can be packed");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bun.zst");
    #[allow(clippy::disallowed_methods)] // cargo runs this again when it was torn
    fs::write(out, packed).expect("the packed Bun can be written");
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    println!("cargo::rustc-env=STEADY_BUN_SHA256={hash}");
    println!("cargo::rustc-cfg=embed_bun");
}

/// The editor's built scripts: without them the program compiles, and its pages have no script or style.
#[allow(clippy::disallowed_methods)] // a torn file here is made again by the next build
fn check_assets() {
    println!("cargo::rerun-if-changed=static");
    println!("cargo::rerun-if-changed=templates");
    let manifest = Path::new("static/dist/manifest.json");
    if manifest.exists() {
        return;
    }
    assert!(
        env::var("PROFILE").as_deref() != Ok("release"),
        "a release build embeds the editor's scripts: run ./dev release"
    );
    let made = fs::create_dir_all("static/dist").and_then(|()| fs::write(manifest, "{}"));
    println!("cargo::warning=the editor's scripts are not built: run ./dev build");
    if let Err(e) = made {
        println!("cargo::warning=static/dist could not be made: {e}");
    }
}
