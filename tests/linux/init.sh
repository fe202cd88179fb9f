#!/bin/busybox sh
# Guest init for acceptance tests: everything is reported on the console.
export PATH=/bin:/sbin
/bin/busybox mkdir -p /proc /sys /dev /tmp /mnt
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
/bin/busybox --install -s /bin
mkdir -p /dev/pts /sys/kernel/debug
mount -t devpts devpts /dev/pts 2>/dev/null
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
read up _ < /proc/uptime
echo "GUEST-READY kernel=$(uname -r) cpus=$(nproc) mem_kb=$(awk '/MemTotal/{print $2}' /proc/meminfo) uptime=$up"
# gtest=<name>[,<name>...] on the kernel command line picks checks to run
tests=; off=
for w in $(cat /proc/cmdline); do
  case $w in
    gtest=*) tests=$(echo "${w#gtest=}" | tr , ' ');;
    gexit=*) off=${w#gexit=};;
  esac
done
ok()  { echo "GTEST $1 ok $2"; }
bad() { echo "GTEST $1 FAIL $2"; }
for t in $tests; do
  case $t in
    pkvm)
      dmesg | grep -q 'hypervisor services detected' && ok pkvm "$(dmesg | grep 'hypervisor services' | sed 's/.*detected//')" || bad pkvm "no KVM hypervisor services";;
    irqs) cat /proc/interrupts; ok irqs;;
    timer)
      a=$(date +%s); sleep 2; b=$(date +%s); d=$((b-a))
      # Late is the host's doing, as far as anyone can tell from in here; early is not.
      [ $d -ge 2 ] && [ $d -le 60 ] && ok timer "$d s" || bad timer "$d s";;
    hotplug)
      n=$(nproc); r=ok
      if [ -e /sys/devices/system/cpu/cpu1/online ]; then
        for i in 1 2 3; do
          echo 0 > /sys/devices/system/cpu/cpu1/online || r=off
          [ "$(nproc)" = $((n-1)) ] || r=count
          echo 1 > /sys/devices/system/cpu/cpu1/online || r=on
          [ "$(nproc)" = $n ] || r=count2
        done
        [ $r = ok ] && ok hotplug "3 rounds" || bad hotplug $r
      else ok hotplug "one cpu: skipped"; fi;;
    blk)
      for d in /dev/vd?; do
        [ -b $d ] || { bad blk "no disk"; break; }
        dd if=/dev/urandom of=/tmp/b bs=64k count=16 2>/dev/null
        dd if=/tmp/b of=$d bs=64k conv=fsync 2>/dev/null; echo 3 > /proc/sys/vm/drop_caches 2>/dev/null
        dd if=$d of=/tmp/c bs=64k count=16 iflag=direct 2>/dev/null || dd if=$d of=/tmp/c bs=64k count=16 2>/dev/null
        cmp /tmp/b /tmp/c && ok blk $d || bad blk $d
      done;;
    net)
      for n in /sys/class/net/eth*; do
        [ -e $n ] || { bad net "no interface"; break; }
        i=${n##*/}; ip link set $i up; udhcpc -i $i -n -q -t 5 -s /bin/true >/dev/null 2>&1 && ok net "$i dhcp lease" || bad net "$i no lease"
      done;;
    rng) c=$(cat /sys/class/misc/hw_random/rng_current 2>/dev/null)
      [ -n "$c" ] && dd if=/dev/hwrng bs=64 count=1 2>/dev/null | od -An -tx1 | head -1 && ok rng "$c" || bad rng "none";;
    ptp) [ -e /sys/class/ptp/ptp0/clock_name ] && ok ptp "$(cat /sys/class/ptp/ptp0/clock_name)" || bad ptp "none";;
    swiotlb) for f in /sys/kernel/debug/swiotlb/io_tlb_* /sys/kernel/debug/swiotlb/*/io_tlb_*; do [ -e $f ] && echo "$f $(cat $f)"; done; ok swiotlb;;
    mem) n=$(awk '/MemAvailable/{print int($2/1024*6/10)}' /proc/meminfo)
      mount -t tmpfs -o size=${n}m,huge=never t /mnt && dd if=/dev/zero of=/mnt/f bs=1M count=$((n-2)) 2>/dev/null && md5sum /mnt/f && ok mem "${n} MiB touched" || bad mem; rm -f /mnt/f; umount /mnt;;
    guard) # A page nobody guarded must end the reader with SIGBUS (128 + 7); the console's page,
      # which the kernel guarded for its driver, must stay readable before and after.
      u=0x9000018; g=0xb000000
      a=$(devmem $u 32); (devmem $g 32) >/dev/null 2>&1; s=$?; b=$(devmem $u 32)
      [ -n "$a" ] && [ -n "$b" ] && [ $s = 135 ] && ok guard "SIGBUS at $g, $u reads $b" || bad guard "status $s at $g, $u reads '$a' '$b'";;
    debug) d=$(/bin/debug); s=$?; [ $s = 0 ] && ok debug "$d" || bad debug "status $s: $d";;
    smpload) for i in $(seq $(nproc)); do (i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done) & done; wait; ok smpload;;
    *) bad "$t" unknown;;
  esac
done
[ -n "$tests" ] && echo "GTEST-DONE"
case $off in
  off) poweroff -f;;
  reboot) reboot -f;;
  panic) echo c > /proc/sysrq-trigger;;
esac
exec setsid cttyhack sh
