import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";

/** What a control group had used when it was looked at. */
export interface CgroupReading {
  /** Microseconds of CPU since it was made. */
  cpu: number;
  /** Bytes of memory now, without files that the kernel could drop. */
  memory: number;
  /** Bytes read from devices since it was made. */
  read: number;
  /** Bytes written to devices since it was made. */
  written: number;
  /** Processes and threads now; 0 where they are not counted. */
  processes: number;
}

/** Where the control groups of a process lie. */
export interface CgroupPlace {
  version: "cgroup-v1" | "cgroup-v2";
  /** Folder by controller; of version 2, all are the same. */
  folders: { cpu: string; memory: string; io: string; processes: string };
}

/** A control group whose files are open, to be read again and again. */
export interface Cgroup {
  readonly version: CgroupPlace["version"];
  /** Undefined once the group is gone. */
  read(): CgroupReading | undefined;
  close(): void;
}

/** Most bytes of one of the files that are read; the longest, `memory.stat` of version 2, has some two thousand. */
const FILE_BYTES = 16_384;

/**
 * Finds the control groups of a process in what the kernel says of it. Of a host that has both versions, the one that
 * counts memory is taken.
 *
 * @param cgroups Content of `/proc/<pid>/cgroup`.
 * @param mounts Content of `/proc/self/mountinfo`.
 * @returns undefined if there are none that this process can see
 */
export function placeCgroup(cgroups: string, mounts: string): CgroupPlace | undefined {
  const paths = new Map<string, string>();
  for (const line of cgroups.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    for (const controller of controllers!.split(",")) paths.set(controller, path);
  }
  const seen = mounts.split("\n").flatMap(mountOf);
  const folderOf = (controller: string): string | undefined => {
    const path = paths.get(controller);
    const mount = seen.find(({ controllers }) => controllers.includes(controller));
    if (path === undefined || mount === undefined) return undefined;
    // What is mounted may be a part of the tree: then only what is below it can be seen.
    if (mount.root === "/") return join(mount.point, path);
    const inside = path === mount.root || path.startsWith(`${mount.root}/`);
    return inside ? join(mount.point, path.slice(mount.root.length)) : undefined;
  };
  const memory = folderOf("memory");
  if (memory !== undefined) {
    const [cpu, io, processes] = [folderOf("cpuacct"), folderOf("blkio"), folderOf("pids")];
    if (cpu === undefined || io === undefined) return undefined;
    return { version: "cgroup-v1", folders: { cpu, memory, io, processes: processes ?? "" } };
  }
  const unified = folderOf("");
  if (unified === undefined) return undefined;
  return { version: "cgroup-v2", folders: { cpu: unified, memory: unified, io: unified, processes: unified } };
}

interface Mount {
  /** Version 1: controllers; version 2: one, without a name. */
  controllers: string[];
  root: string;
  point: string;
}

function mountOf(line: string): Mount[] {
  const [before, after] = line.split(" - ");
  const [, , , root, point] = (before ?? "").split(" ");
  const [type, , options] = (after ?? "").split(" ");
  if (root === undefined || point === undefined) return [];
  const place = { root: unescape(root), point: unescape(point) };
  if (type === "cgroup2") return [{ ...place, controllers: [""] }];
  return type === "cgroup" ? [{ ...place, controllers: (options ?? "").split(",") }] : [];
}

/** Spaces and the like are octal there. */
function unescape(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

/**
 * Opens the control group of a process.
 *
 * @param options.proc Where the kernel tells of processes.
 * @returns undefined if the process is gone, or nothing can be seen of its group
 */
export function openCgroup(pid: number, { proc = "/proc" }: { proc?: string } = {}): Cgroup | undefined {
  let place: CgroupPlace | undefined;
  try {
    const cgroups = readFileSync(join(proc, String(pid), "cgroup"), "latin1");
    place = placeCgroup(cgroups, readFileSync(join(proc, "self", "mountinfo"), "latin1"));
  } catch {
    return undefined;
  }
  return place && openPlace(place, proc);
}

/** What is read of each version, and how; a file that is missing reads as empty. */
const FILES: Record<CgroupPlace["version"], [keyof CgroupPlace["folders"], string][]> = {
  "cgroup-v1": [
    ["cpu", "cpuacct.usage"],
    ["memory", "memory.usage_in_bytes"],
    ["memory", "memory.stat"],
    ["io", "blkio.throttle.io_service_bytes_recursive"],
    ["processes", "pids.current"],
  ],
  "cgroup-v2": [
    ["cpu", "cpu.stat"],
    ["memory", "memory.current"],
    ["memory", "memory.stat"],
    ["io", "io.stat"],
    ["processes", "pids.current"],
  ],
};

/** What cannot be done without. */
const NEEDED = 2;
/** Which of the files is about devices. */
const IO = 3;

/** @returns undefined if the group has no CPU time or memory to show */
function openPlace({ version, folders }: CgroupPlace, proc: string): Cgroup | undefined {
  const descriptors: (number | undefined)[] = [];
  const close = (): void => {
    for (const descriptor of descriptors.splice(0)) if (descriptor !== undefined) closeSync(descriptor);
  };
  for (const [place, [controller, name]] of FILES[version].entries()) {
    try {
      descriptors.push(openSync(join(folders[controller], name), "r"));
    } catch {
      if (place < NEEDED) {
        close();
        return undefined;
      }
      descriptors.push(undefined);
    }
  }
  const buffer = Buffer.alloc(FILE_BYTES);
  const parse = version === "cgroup-v1" ? parseVersion1 : parseVersion2;
  // Of processes that end between two looks less is seen than there was.
  const most = { read: 0, written: 0 };
  const withIo = (reading: CgroupReading): CgroupReading => {
    const { read, written } = processIo(folders.memory, proc);
    most.read = Math.max(most.read, read);
    most.written = Math.max(most.written, written);
    return { ...reading, ...most };
  };
  return {
    version,
    // Synchronous: a few microseconds each, less than it takes to hand the work to a thread and hear of its end.
    read: () => {
      try {
        const texts = descriptors.map((descriptor) =>
          descriptor === undefined ? "" : buffer.toString("latin1", 0, readSync(descriptor, buffer, 0, FILE_BYTES, 0)),
        );
        const reading = texts.length === 0 ? undefined : parse(texts);
        const isCounted = version === "cgroup-v2" || /^\d+:\d+ /m.test(texts[IO] ?? "");
        return reading === undefined || isCounted ? reading : withIo(reading);
      } catch {
        return undefined;
      }
    },
    close,
  };
}

/**
 * What the processes of a group read and wrote, those that they waited for included: for kernels that do not count it by
 * group unless a limit is set on it, as version 1 since Linux 6.10. Nothing where this process may not look.
 */
function processIo(folder: string, proc: string): Pick<CgroupReading, "read" | "written"> {
  let [read, written] = [0, 0];
  for (const pid of readFileSync(join(folder, "cgroup.procs"), "latin1").split("\n")) {
    if (pid === "") continue;
    let text: string;
    try {
      text = readFileSync(join(proc, pid, "io"), "latin1");
    } catch {
      continue;
    }
    read += Number(/^read_bytes: (\d+)$/m.exec(text)?.[1] ?? 0);
    written += Number(/^write_bytes: (\d+)$/m.exec(text)?.[1] ?? 0);
  }
  return { read, written };
}

/** @param texts Contents of the files of version 1, in order. */
export function parseVersion1(texts: readonly string[]): CgroupReading | undefined {
  const [usage = "", held = "", stat = "", io = "", pids = ""] = texts;
  const [cpu, memory] = [whole(usage), whole(held)];
  if (cpu === undefined || memory === undefined) return undefined;
  let [read, written] = [0, 0];
  // `8:0 Read 4096` for each device and each kind, and `Total` of all.
  for (const [, kind, bytes] of io.matchAll(/^\d+:\d+ (Read|Write) (\d+)$/gm)) {
    if (kind === "Read") read += Number(bytes);
    else written += Number(bytes);
  }
  const droppable = entry(stat, "total_inactive_file");
  return {
    cpu: Math.floor(cpu / 1000),
    memory: Math.max(0, memory - droppable),
    read,
    written,
    processes: whole(pids) ?? 0,
  };
}

/** @param texts Contents of the files of version 2, in order. */
export function parseVersion2(texts: readonly string[]): CgroupReading | undefined {
  const [cpuStat = "", held = "", stat = "", io = "", pids = ""] = texts;
  const memory = whole(held);
  if (memory === undefined || !cpuStat.includes("usage_usec")) return undefined;
  const sum = (pattern: RegExp): number =>
    [...io.matchAll(pattern)].reduce((total, [, bytes]) => total + Number(bytes), 0);
  return {
    cpu: entry(cpuStat, "usage_usec"),
    memory: Math.max(0, memory - entry(stat, "inactive_file")),
    // `8:0 rbytes=4096 wbytes=0 rios=1 …` for each device.
    read: sum(/ rbytes=(\d+)/g),
    written: sum(/ wbytes=(\d+)/g),
    processes: whole(pids) ?? 0,
  };
}

function whole(text: string): number | undefined {
  return /^\d+\n?$/.test(text) ? Number(text) : undefined;
}

/** The number behind a name at the start of a line; 0 if it is not there. */
function entry(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
}
