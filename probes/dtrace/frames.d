#!/usr/sbin/dtrace -s
/*
 * frames: what is in the frames?
 *
 * USAGE
 *   overlay-trace --tracer dtrace frames [interval [count]] [--vni N]
 *   dtrace -Z -p PID -s frames.d [interval [count [vni]]]
 *
 * DESCRIPTION
 *   Asks in D what frames.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   Up to two firings for each frame, two microseconds or more each, because
 *   192 bytes are written as text. Not for a busy host without --vni.
 *
 * CAVEATS
 *   Watch overlayd: the provider's name carries the process id of -p.
 *   Ends after count times interval seconds, or by Ctrl-C.
 *   Time is that of DTrace, not since boot: capture files are made with
 *   bpftrace only.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing frames: ns, frame, vni, direction, length, offset, bytes... Ctrl-C ends.\n");
	seconds = 0;
}

overlay$target:::frame-bytes
/($3 == 0 || arg1 == $3)/
{
	printf("%u %016x %u %u %u %u %s\n", timestamp, arg0, arg1, arg2, arg3, arg4, copyinstr(arg5));
}

profile:::tick-1s
/$1 > 0/
{
	seconds++;
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}
