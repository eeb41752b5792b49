//! Checks what must lie beside the code before it is compiled.
use std::fs;
use std::path::Path;

fn main() {
    check_assets();
}

/// The editor's built scripts: without them the program compiles, and its pages have no script or style.
#[allow(clippy::disallowed_methods)] // a torn file here is made again by the next build
fn check_assets() {
    println!("cargo:rerun-if-changed=static");
    println!("cargo:rerun-if-changed=templates");
    let manifest = Path::new("static/dist/manifest.json");
    if manifest.exists() {
        return;
    }
    let made = fs::create_dir_all("static/dist").and_then(|()| fs::write(manifest, "{}"));
    println!("cargo:warning=the editor's scripts are not built: run ./dev build");
    if let Err(e) = made {
        println!("cargo:warning=static/dist could not be made: {e}");
    }
}
