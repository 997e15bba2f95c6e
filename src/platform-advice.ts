import { softwareInstallCommand, softwareRunsHere } from "./software-adapter.ts";

/** What to do on this platform, in words that can be followed as they stand. */
export interface PlatformAdvice {
  /** Where `webgpu` is installed, and its library does not load. */
  readonly dawn: string;
  /** Where there is no driver that gives an adapter. */
  readonly driver: string;
  /** Where a software adapter from npm would do, and one exists for the platform. */
  readonly software?: string;
}

/** The advice for the platform that this process runs on. */
export function platformAdvice(): PlatformAdvice {
  switch (process.platform) {
    case "linux":
      return linuxAdvice();
    case "darwin":
      return {
        dawn:
          "Allow the install script of `webgpu` (`npm rebuild webgpu`): it removes macOS's " +
          "quarantine mark from dawn.node. macOS 12 or newer is needed.",
        driver:
          "WebGPU needs Metal: run on a Mac, or in a virtual machine that passes its GPU on. " +
          "There is no software adapter for macOS.",
      };
    case "win32":
      return {
        dawn: "Install the Microsoft Visual C++ runtime (2015-2022), then `npm install webgpu`.",
        driver:
          "Update the graphics driver; Windows 10 or newer has Direct3D 12. Windows' own software " +
          "adapter (WARP) is used with MOORAGE_ADAPTER=software.",
      };
    default:
      return {
        dawn: "`webgpu` has libraries for Linux, macOS and Windows only.",
        driver: "Run on Linux, macOS or Windows, or use `moorage` in a browser.",
      };
  }
}

function linuxAdvice(): PlatformAdvice {
  const driver =
    "With a GPU: install its Vulkan driver.\n" +
    "Debian, Ubuntu: sudo apt install libvulkan1 mesa-vulkan-drivers (NVIDIA: nvidia-driver)\n" +
    "Fedora: sudo dnf install vulkan-loader mesa-vulkan-drivers\n" +
    "Docker: --device /dev/dri, or --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all" +
    (softwareRunsHere
      ? ""
      : "\nWithout a GPU: the same Mesa packages bring a software driver (Mesa 23 or newer).");
  return {
    dawn:
      "`webgpu` needs glibc (not Alpine's musl) and x64 or arm64; reinstall it with " +
      "`npm install webgpu`, or use an image such as node:22-bookworm-slim.",
    driver,
    ...(softwareRunsHere && {
      software: `Without a GPU, and without root: ${softwareInstallCommand}`,
    }),
  };
}
