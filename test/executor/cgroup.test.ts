import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { openCgroup, parseVersion1, parseVersion2, placeCgroup } from "../../agents/executor/cgroup.ts";

const group = "/docker/e6300b08";

/** As a host with version 1 has them, the empty tree of version 2 beside it. */
const mounts1 = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`;
const cgroups1 = `9:name=systemd:${group}
8:pids:${group}
7:blkio:${group}
4:memory:${group}
1:cpu,cpuacct:${group}
0::/
`;
const mounts2 = `24 30 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
30 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
`;
const cgroups2 = "0::/system.slice/docker-e6300b08.scope\n";

const stat1 =
  "cache 8192\nrss 57344\ninactive_file 4096\ntotal_cache 8192\ntotal_rss 57344\ntotal_inactive_file 8192\n";
const io1 =
  "8:0 Read 4096\n8:0 Write 12288\n8:0 Sync 16384\n8:0 Total 16384\n254:0 Read 100\n254:0 Write 0\nTotal 16484\n";
const cpuStat2 = "usage_usec 67208\nuser_usec 60000\nsystem_usec 7208\nnr_periods 0\n";
const stat2 = "anon 57344\nfile 8192\nkernel 4096\ninactive_anon 53248\ninactive_file 8192\nactive_file 0\n";
const io2 =
  "8:0 rbytes=4096 wbytes=12288 rios=1 wios=3 dbytes=0 dios=0\n259:0 rbytes=100 wbytes=0 rios=1 wios=0 dbytes=7 dios=1\n";

const expected = { cpu: 67_208, memory: 92_160, read: 4196, written: 12_288, processes: 3 };

describe("control groups", () => {
  it("are found by controller in version 1", () => {
    expect(placeCgroup(cgroups1, mounts1)).to.deep.equal({
      version: "cgroup-v1",
      folders: {
        cpu: `/sys/fs/cgroup/cpu,cpuacct${group}`,
        memory: `/sys/fs/cgroup/memory${group}`,
        io: `/sys/fs/cgroup/blkio${group}`,
        processes: `/sys/fs/cgroup/pids${group}`,
      },
    });
  });

  it("are found in the one tree of version 2", () => {
    const folder = "/sys/fs/cgroup/system.slice/docker-e6300b08.scope";
    expect(placeCgroup(cgroups2, mounts2)).to.deep.equal({
      version: "cgroup-v2",
      folders: { cpu: folder, memory: folder, io: folder, processes: folder },
    });
  });

  it("are found below what is mounted, and not where it is another part of the tree", () => {
    const part = mounts2.replace(" / /sys/fs/cgroup ", " /system.slice /mnt/a\\040part ");
    expect(placeCgroup(cgroups2, part)!.folders.cpu).to.equal("/mnt/a part/docker-e6300b08.scope");
    expect(placeCgroup(cgroups2, mounts2.replace(" / /sys", " /user.slice /sys"))).to.equal(undefined);
    expect(placeCgroup(cgroups2, mounts2.replace(" / /sys", " /system.sl /sys"))).to.equal(undefined);
  });

  it("are not found where nothing is told of them", () => {
    expect(placeCgroup("", mounts1)).to.equal(undefined);
    expect(placeCgroup(cgroups2, "")).to.equal(undefined);
    expect(placeCgroup("garbage\n1:memory\n", mounts1)).to.equal(undefined);
    expect(openCgroup(2 ** 30)).to.equal(undefined);
  });

  it("are read the same from both versions", () => {
    expect(parseVersion1(["67208635\n", "100352\n", stat1, io1, "3\n"])).to.deep.equal(expected);
    expect(parseVersion2([cpuStat2, "100352\n", stat2, io2, "3\n"])).to.deep.equal(expected);
  });

  it("are read without what a kernel does not count, but not without CPU and memory", () => {
    const less = { ...expected, memory: 100_352, read: 0, written: 0, processes: 0 };
    expect(parseVersion1(["67208635\n", "100352\n", "", "", ""])).to.deep.equal(less);
    expect(parseVersion2([cpuStat2, "100352\n", "", "", ""])).to.deep.equal(less);
    expect(parseVersion2([cpuStat2, "100352\n", "", "", "max\n"])).to.deep.equal(less);
    expect(parseVersion1(["", "100352\n", stat1, io1, "3\n"])).to.equal(undefined);
    expect(parseVersion1(["67208635\n", "", stat1, io1, "3\n"])).to.equal(undefined);
    expect(parseVersion2(["user_usec 60000\n", "100352\n", stat2, io2, "3\n"])).to.equal(undefined);
    expect(parseVersion2([cpuStat2, "max\n", stat2, io2, "3\n"])).to.equal(undefined);
  });

  describe("laid out in a folder", () => {
    let folder: string;
    beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "surety-test-"))));
    afterEach(() => rm(folder, { recursive: true }));

    const put = async (files: Record<string, string>): Promise<void> => {
      for (const [path, text] of Object.entries(files)) {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), text);
      }
    };
    const here = (mounts: string): string => mounts.replaceAll("/sys/fs/cgroup", join(folder, "sys"));
    const open = () => openCgroup(77, { proc: join(folder, "proc") });

    for (const [version, change] of [
      ["cgroup-v1", "cpu,cpuacct/docker/e6300b08/cpuacct.usage"],
      ["cgroup-v2", "system.slice/docker-e6300b08.scope/cpu.stat"],
    ] as const) {
      it(`are opened once and read as they change, ${version}`, async () => {
        if (version === "cgroup-v1") {
          await put({
            "proc/77/cgroup": cgroups1,
            "proc/self/mountinfo": here(mounts1),
            [`sys/cpu,cpuacct${group}/cpuacct.usage`]: "67208635\n",
            [`sys/memory${group}/memory.usage_in_bytes`]: "100352\n",
            [`sys/memory${group}/memory.stat`]: stat1,
            [`sys/blkio${group}/blkio.throttle.io_service_bytes_recursive`]: io1,
            [`sys/pids${group}/pids.current`]: "3\n",
          });
        } else {
          const scope = "sys/system.slice/docker-e6300b08.scope";
          await put({
            "proc/77/cgroup": cgroups2,
            "proc/self/mountinfo": here(mounts2),
            [`${scope}/cpu.stat`]: cpuStat2,
            [`${scope}/memory.current`]: "100352\n",
            [`${scope}/memory.stat`]: stat2,
            [`${scope}/io.stat`]: io2,
            [`${scope}/pids.current`]: "3\n",
          });
        }
        const cgroup = open()!;
        expect(cgroup.version).to.equal(version);
        expect(cgroup.read()).to.deep.equal(expected);
        await put({ [`sys/${change}`]: version === "cgroup-v1" ? "99999000\n" : cpuStat2.replace("67208", "99999") });
        expect(cgroup.read()).to.deep.equal({ ...expected, cpu: 99_999 });
        cgroup.close();
        expect(cgroup.read()).to.equal(undefined);
      });
    }

    it("are told by their processes what they read and wrote where version 1 does not count it", async () => {
      await put({
        "proc/77/cgroup": cgroups1,
        "proc/self/mountinfo": here(mounts1),
        [`sys/cpu,cpuacct${group}/cpuacct.usage`]: "67208635\n",
        [`sys/memory${group}/memory.usage_in_bytes`]: "100352\n",
        [`sys/memory${group}/cgroup.procs`]: "77\n78\n79\n",
        [`sys/blkio${group}/blkio.throttle.io_service_bytes_recursive`]: "Total 0\n",
        "proc/77/io": "rchar: 9\nwchar: 9\nread_bytes: 4096\nwrite_bytes: 100\ncancelled_write_bytes: 7\n",
        "proc/78/io": "read_bytes: 1\nwrite_bytes: 2\n",
      });
      const cgroup = open()!;
      expect(cgroup.read()).to.include({ read: 4097, written: 102 });
      // One has ended, and nobody has waited for it yet.
      await put({ [`sys/memory${group}/cgroup.procs`]: "77\n" });
      expect(cgroup.read()).to.include({ read: 4097, written: 102 });
      await put({ [`sys/blkio${group}/blkio.throttle.io_service_bytes_recursive`]: io1 });
      expect(cgroup.read()).to.include({ read: expected.read, written: expected.written });
      cgroup.close();
    });

    it("are opened without what a kernel does not count, but not without CPU time", async () => {
      const scope = "sys/system.slice/docker-e6300b08.scope";
      await put({ "proc/77/cgroup": cgroups2, "proc/self/mountinfo": here(mounts2) });
      await put({ [`${scope}/memory.current`]: "100352\n" });
      expect(open()).to.equal(undefined);
      await put({ [`${scope}/cpu.stat`]: cpuStat2 });
      const cgroup = open()!;
      expect(cgroup.read()).to.deep.equal({ ...expected, memory: 100_352, read: 0, written: 0, processes: 0 });
      cgroup.close();
    });
  });
});
